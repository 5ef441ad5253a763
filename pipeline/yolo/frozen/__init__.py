"""Cache the activations of frozen layers."""
