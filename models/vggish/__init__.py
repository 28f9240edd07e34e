"""VGGish, whose embedding is YouTube-8M's audio features; vggish.py is the network."""
