"""Read lists of boxes as keras-yolo3 has them: an image and all its boxes in one line of a text file."""
