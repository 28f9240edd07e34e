"""The numbers before and after the two networks that make YouTube-8M features of a video; NumPy only, without files."""
