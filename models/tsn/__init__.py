"""TSN: spec.py is what the scripts see, tsn.py is the network."""
