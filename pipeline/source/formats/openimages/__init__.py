"""Read Open Images tables."""
