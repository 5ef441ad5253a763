"""I/O. Each third party has one door here, and nothing here knows the configuration."""
