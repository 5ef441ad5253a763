"""Read LabelMe JSON and XML."""
