"""Commands that use a model: predict, export, serve."""
