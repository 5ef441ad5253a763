"""Read MOTChallenge sequences."""
