"""Training of a ResNet by oneDNN: library.py binds it, operations.py has its operations, part.py the gradients."""
