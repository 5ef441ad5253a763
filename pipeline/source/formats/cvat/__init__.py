"""Read CVAT XML."""
