"""Predict on images and videos that need no labels (`finetrack predict`)."""
