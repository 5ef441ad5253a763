"""Geometry of masks that needs OpenCV."""
