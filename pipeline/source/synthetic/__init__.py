"""Draw the demo images and the shapes of the foundation weights."""
