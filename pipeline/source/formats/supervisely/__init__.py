"""Read Supervisely projects."""
