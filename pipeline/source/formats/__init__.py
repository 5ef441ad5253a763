"""One package or module per annotation format."""
