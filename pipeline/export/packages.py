"""Find the Python that has the packages of an exporter: this one, or that of .venv-export."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from pipeline.core.errors import UserError
from pipeline.export.variants import ExportVariant
from pipeline.storage.scratch_folder import project_root
from pipeline.yolo.exporting.formats import FORMATS

EXPORT_ENVIRONMENT: Final = ".venv-export"
"""The environment for exporters: `make export-env` creates it from requirements-export.lock."""
LOCKED_EXTRAS: Final = ("onnx", "openvino")
"""Formats whose packages requirements-export.lock has."""
_ALTERNATIVES: Final = {
    "onnxruntime": ("onnxruntime-gpu",),
    "tensorrt-cu13": ("tensorrt-cu12", "tensorrt"),
    "tensorflow": ("tensorflow-cpu",),
}
"""Packages that stand for another one."""


def find_python(variants: Sequence[ExportVariant]) -> Path | None:
    """Return the Python that exports the variants: None for the one that runs now.

    Raises:
        UserError: Packages are missing, and there is no other environment to look in.
    """
    missing = list_missing_packages(variants)
    if not missing:
        return None
    other = project_root() / EXPORT_ENVIRONMENT / "bin/python"
    if other.exists() and Path(sys.prefix).resolve() != other.parents[1].resolve():
        return other
    raise UserError(_describe_missing(variants, missing))


def list_missing_packages(variants: Sequence[ExportVariant]) -> list[str]:
    """Return the packages of the variants that this Python has not, as requirements."""
    return [one for one in list_requirements(variants) if not _is_installed(_parse_name(one))]


def list_requirements(variants: Sequence[ExportVariant]) -> list[str]:
    """Return the packages of the variants, as requirements such as onnx>=1.17,<2."""
    found: dict[str, None] = {}
    for variant in variants:
        known = FORMATS[variant.format]
        found |= dict.fromkeys(known.packages)
        found |= dict.fromkeys(known.int8_packages if variant.precision == "int8" else ())
    return list(found)


def _describe_missing(variants: Sequence[ExportVariant], missing: Sequence[str]) -> str:
    formats = dict.fromkeys(variant.format for variant in variants)
    names = ", ".join(_parse_name(one) for one in missing)
    what = f"--format {','.join(formats)} needs packages that are not installed ({names})"
    if all(name in LOCKED_EXTRAS for name in formats):
        return f"{what}: run `make export-env` once, which installs them into {EXPORT_ENVIRONMENT}"
    quoted = " ".join(f"'{one}'" for one in missing)
    return (
        f"{what}: run `make export-env` once, then `{EXPORT_ENVIRONMENT}/bin/python -m pip install {quoted}`"
    )


def _is_installed(name: str) -> bool:
    return any(_has_distribution(one) for one in (name, *_ALTERNATIVES.get(name, ())))


def _has_distribution(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


def _parse_name(requirement: str) -> str:
    return re.split(r"[\[<>=!~; ]", requirement, maxsplit=1)[0]
