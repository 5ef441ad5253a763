"""Read VisDrone annotations."""
