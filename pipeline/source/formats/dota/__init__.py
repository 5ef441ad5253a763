"""Read DOTA text files: rotated boxes."""
