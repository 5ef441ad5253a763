"""Code that all format readers share."""
