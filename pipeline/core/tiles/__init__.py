"""Overlapping tiles of large images, and their detections as those of the whole image."""
