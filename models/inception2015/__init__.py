"""Inception of December 2015, whose pool_3 is YouTube-8M's rgb features; inception2015.py is the network."""
