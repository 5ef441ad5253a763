"""Check that annotations mean what they seem to: coordinates, model output, spellings of class names."""
