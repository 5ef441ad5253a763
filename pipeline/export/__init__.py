"""Export a model to another format, and measure the exported file beside the checkpoint."""
