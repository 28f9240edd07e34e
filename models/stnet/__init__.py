"""StNet: spec.py is what the scripts see, stnet.py is the network."""
