"""AttentionCluster: spec.py is what the scripts see, attention_cluster.py is the network."""
