"""A ResNet by oneDNN: library.py binds it; operations.py has what training needs and part.py its gradients; inference.py
is for test mode.
"""
