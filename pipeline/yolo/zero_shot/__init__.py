"""Models that find classes by words, without training: Ultralytics' YOLOE."""
