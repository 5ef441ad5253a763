"""Read the lists of WIDER FACE."""
