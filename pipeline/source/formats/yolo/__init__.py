"""Read YOLO datasets: data.yaml, label files, Darknet obj.data."""
