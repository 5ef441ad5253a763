"""Whether one model is better than another: paired statistics on the same test images, and their page."""
