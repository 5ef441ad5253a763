"""Read Pascal VOC XML."""
