"""Other people's results in, and ours out."""
