"""NeXtVLAD: spec.py is what the scripts see, nextvlad.py is the network."""
