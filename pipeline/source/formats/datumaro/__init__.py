"""Read Datumaro JSON."""
