"""The error that says why an image cannot be used."""

from __future__ import annotations

from pipeline.core.findings import FindingKind


class UnusableImageError(ValueError):
    """Say why an image cannot be used.

    Args:
        kind: The kind of finding.
        reason: The same in words.
    """

    def __init__(self, kind: FindingKind, reason: str) -> None:
        super().__init__(reason)
        self.kind: FindingKind = kind
