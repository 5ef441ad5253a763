"""Find near duplicates among images (pure)."""
