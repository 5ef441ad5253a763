"""Read tables of boxes."""
