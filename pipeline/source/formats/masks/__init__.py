"""Read mask images: one mask per image."""
