"""TSN: recipe.py is what the scripts see, tsn.py is the network."""
