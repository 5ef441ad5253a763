"""Check and decode image files."""
