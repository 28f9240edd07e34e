"""AttentionLSTM: spec.py is what the scripts see, attention_lstm.py is the network."""
