"""Draw label overlays, plots and HTML pages."""
