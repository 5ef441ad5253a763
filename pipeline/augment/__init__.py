"""The augment stage: write additional augmented train images."""
