"""Geometry of polygons, rotated boxes and masks (pure)."""
