"""The version of this project; pyproject.toml states the same."""

VERSION = "0.1.0"
