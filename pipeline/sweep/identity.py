"""What makes the results of a sweep comparable: its configuration, images, base weights, code and space."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from pipeline.compose.input_fingerprints import fingerprint_inputs
from pipeline.compose.lockfile import read_lock
from pipeline.core.errors import UserError
from pipeline.storage.code_digests import compute_code_digests
from pipeline.sweep.settings import SweepSettings
from pipeline.sweep.space.search_space import SearchSpace, shorten_keys

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,59}")
"""A name is part of the names of experiments, which git keeps as references, and of folders."""
_GROUPS: Final = ("data", "augment", "model", "finetune", "seed")
"""The parts of the configuration that decide a training."""
_NAMED_SETTINGS: Final = {"sampler", "seed", "pruner", "objectives", "constraints", "seeds", "folds", "test"}
"""Settings with which a command without sweep.name is another sweep."""
_DIGEST_LENGTH: Final = 16


def build_identity(first: Mapping[str, Any]) -> dict[str, str]:
    """Return digests of what decides the trainings of a sweep, by what they are of; the study adds its own.

    Args:
        first: The configuration of the first point.

    Raises:
        UserError: An input, such as the images, is absent.
    """
    inputs, _ = fingerprint_inputs(first, read_lock())
    weights = {key: inputs[key] for key in ("weights", "teacher", "architecture")}
    code = {key: value for key, value in compute_code_digests().items() if key != "evaluate"}
    return {
        **{group: _digest(first[group]) for group in _GROUPS},
        "images": _digest(inputs["source"]),
        "base weights": _digest(weights),
        "code": _digest(code),
    }


def choose_name(space: SearchSpace, settings: SweepSettings, identity: Mapping[str, str]) -> str:
    """Return sweep.name, or a name from the keys of the sweep and everything that decides its results.

    Raises:
        UserError: sweep.name cannot be a name.
    """
    if settings.name is not None:
        if not NAME.fullmatch(settings.name):
            raise UserError(
                f"sweep.name={settings.name!r} cannot name a sweep: use up to 60 letters, digits, - and _"
            )
        return settings.name
    search = settings.model_dump(mode="json", include=_NAMED_SETTINGS)
    axes = [asdict(axis) for axis in space.axes]
    keys = "-".join(shorten_keys([axis.key for axis in space.axes])[:3])
    words = re.sub(r"[^A-Za-z0-9]+", "-", keys).strip("-")[:40] or "sweep"
    return f"{words}-{_digest({**identity, **search, 'axes': axes})[:6]}"


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=str, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_LENGTH]
