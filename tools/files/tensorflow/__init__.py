"""TensorFlow's graphs and checkpoints, without TensorFlow: ``graph_def.py`` and ``checkpoints.py`` are the door."""
