"""What an image costs a vision encoder: a file for each family of models."""
