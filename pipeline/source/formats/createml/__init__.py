"""Read CreateML JSON."""
