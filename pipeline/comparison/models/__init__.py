"""The models of a comparison: which runs they are, what differs between them, their predictions."""
