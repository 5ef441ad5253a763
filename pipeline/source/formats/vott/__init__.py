"""Read VoTT JSON."""
