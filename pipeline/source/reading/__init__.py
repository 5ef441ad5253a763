"""Code that the format readers share."""
