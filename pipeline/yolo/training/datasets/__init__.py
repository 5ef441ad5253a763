"""Datasets that read images and labels as `prepare` and `augment` wrote them, and write nothing there."""
