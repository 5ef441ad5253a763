"""Read TFRecord files of the object detection API."""
