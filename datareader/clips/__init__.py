"""Clips: pickles of JPEG frames and video files, from a list's lines to batches."""
