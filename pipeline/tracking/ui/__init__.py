"""The MLflow UI on this machine: its command, its address, and who may ask it for pages."""
