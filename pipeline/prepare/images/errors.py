"""The error that says why an image cannot be used."""

from __future__ import annotations

from pipeline.core.findings import UnusableError


class UnusableImageError(UnusableError):
    """Say why an image cannot be used."""
