"""Read classification folders: one folder per class."""
