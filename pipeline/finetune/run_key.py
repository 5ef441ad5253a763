"""The run key: one hash of everything that decides the result of a training."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from pipeline.storage.code_digests import PACKAGE_FOLDER, compute_stage_digest

LIBRARIES: Final = ("numpy", "torch", "ultralytics")
"""Libraries whose version decides the result of a training."""


def compute_run_key(
    *,
    params: Mapping[str, Any],
    data: Mapping[str, str],
    code: Mapping[str, str],
    weights: Mapping[str, str | None],
) -> str:
    """Hash parameters, data, code and weights to 64 hexadecimal digits.

    Args:
        params: The configuration that the training uses; JSON values.
        data: A digest for each dataset.
        code: The digest of the stage's code, and a version for each library.
        weights: SHA-256 of the architecture, base weights and teacher; None for one that is not used.
    """
    parts = {"params": params, "data": data, "code": code, "weights": weights}
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def collect_code_versions(package: Path = PACKAGE_FOLDER) -> dict[str, str]:
    """Return the digest of the stage's code, as DVC records it, and the versions of the libraries.

    Args:
        package: The folder of the code, with code.json in it.

    Raises:
        UserError: A file of the stage is missing.
    """
    return {
        "finetune": compute_stage_digest("finetune", package),
        **{name: version(name) for name in LIBRARIES},
    }
