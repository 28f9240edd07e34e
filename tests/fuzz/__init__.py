"""Damaged copies of every kind of file that the project reads, and what becomes of them.

A new format needs seeds, a reader and, where something can tell right content, an oracle: an entry in ``formats.py``.
"""
