"""Tell which jobs share the results of `prepare`, or those of `prepare` and `augment`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from pipeline.core.config_diff import flatten_config
from pipeline.core.errors import UserError

SHARED_STAGES: Final = ("prepare", "augment")
SPLIT_STAGES: Final = ("prepare",)
"""What decides which images are trained on, and which score: neither the seed nor augmented images do."""
SOURCE_KEYS: Final = ("data.source", "data.unlabelled_source")
"""Which images are read; `dvc.yaml` has fingerprints of them instead, which are not known beforehand."""
STAGES_FILE: Final = Path("dvc.yaml")


def compute_shared_key(values: Mapping[str, Any], keys: tuple[str, ...]) -> str:
    """Return a text that configurations share whose jobs share the results of stages.

    Args:
        values: The configuration of a job.
        keys: The parameters of these stages, from `read_shared_keys`.
    """
    flat = flatten_config(values)
    kept = [
        (key, repr(value))
        for key, value in sorted(flat.items())
        if any(key == name or key.startswith(f"{name}.") for name in keys)
    ]
    return hashlib.sha256(json.dumps(kept, allow_nan=False).encode()).hexdigest()[:16]


def read_shared_keys(file: Path = STAGES_FILE, *, stages: tuple[str, ...] = SHARED_STAGES) -> tuple[str, ...]:
    """Return the keys of the images, and the parameters that dvc.yaml lists for stages.

    Raises:
        UserError: The file is absent, or not as this project's.
    """
    try:
        listed = yaml.safe_load(file.read_text("utf-8"))["stages"]
        shared = [listed[stage] for stage in stages if stage in listed]
        params = [entry for stage in shared for entry in stage["params"]]
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError):
        raise UserError(
            f"{file} does not say what its stages use: restore it with `git checkout {file}`"
        ) from None
    return tuple(dict.fromkeys((*SOURCE_KEYS, *(entry for entry in params if isinstance(entry, str)))))
