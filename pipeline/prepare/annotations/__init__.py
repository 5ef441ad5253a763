"""Check and repair the annotations of an image (pure)."""
