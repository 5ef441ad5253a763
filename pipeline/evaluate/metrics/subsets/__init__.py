"""Metrics of a part of the objects or images: by size, and by slice of the data."""
