"""Networks that give one logit per image, and their weights on disk."""
