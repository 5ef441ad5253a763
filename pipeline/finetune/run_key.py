"""The run key: one hash of everything that decides the result of a training."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from pipeline.config.devices import list_device_kinds
from pipeline.storage.code_digests import PACKAGE_FOLDER, compute_stage_digest

LIBRARIES: Final = ("numpy", "torch", "ultralytics")
"""Libraries whose version decides the result of a training."""

FREE_KEYS: Final = frozenset({"workers", "verbose"})
"""The keys of conf/finetune that decide no result."""


def reduce_finetune(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of conf/finetune as the run key has them: those that decide nothing are left out.

    Args:
        values: By the names of the keys; `device`, `time` and `epochs` may be among them.
    """
    used = {name: value for name, value in values.items() if name not in FREE_KEYS}
    if "device" in used:
        used["device"] = list_device_kinds(used["device"])  # a GPU's number decides nothing
    if used.get("time"):
        used["epochs"] = None  # the clock decides
    return used


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
