"""A ResNet by oneDNN: library.py binds it, inference.py is for test mode, operations.py and part.py for training."""
