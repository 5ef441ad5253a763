"""The versions of this project and of the packages that decide about results."""

from __future__ import annotations

from typing import Final

from pipeline.core.version import VERSION

PROGRAM: Final = "finetrack"
PACKAGES: Final = ("ultralytics", "torch", "mlflow", "dvc", "hydra-core")
"""Packages whose versions `--version` prints."""


def describe_version() -> str:
    """Return one line with the versions, such as `finetrack 0.1.0 (ultralytics 8.4.190, ...)`."""
    from importlib.metadata import PackageNotFoundError, version

    found = []
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"{name} not installed")
    return f"{PROGRAM} {VERSION} ({', '.join(found)})"
