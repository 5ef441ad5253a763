"""What makes the results of a sweep comparable: its configuration, images, base weights, code and space."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final, NamedTuple

from pipeline.compose.input_fingerprints import NO_UNLABELLED, fingerprint_inputs
from pipeline.compose.lockfile import read_lock
from pipeline.compose.stage import ParamValues
from pipeline.core.config_diff import shorten_keys
from pipeline.core.errors import UserError
from pipeline.storage.code_digests import compute_code_digests
from pipeline.sweep.job import CODE_NAME
from pipeline.sweep.settings import SweepSettings
from pipeline.sweep.space.plan_space import SpacePlan
from pipeline.sweep.space.search_space import SearchSpace

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,59}")
"""A name is part of the names of experiments, which git keeps as references, and of folders."""
_GROUPS: Final = ("data", "augment", "model", "finetune", "seed")
"""The parts of the configuration that decide a training."""
TEST_KEYS: Final = ("conf", "iou", "max_det", "batch", "tile", "overlap")
"""Keys of evaluate that decide the figures on test."""
_WEIGHTS: Final = ("weights", "teacher", "architecture")
_IMAGES: Final = ("source", "unlabelled")
_INPUT_KEYS: Final = ("data.", "model.", "finetune.strategy", "finetune.distill_model")
"""Keys that decide which images and weights a training reads."""
_NAMED_SETTINGS: Final = {
    *("sampler", "seed", "pruner", "objectives", "constraints", "seeds", "folds", "test", "curve"),
}
"""Settings with which a command without sweep.name is another sweep."""
_DIGEST_LENGTH: Final = 16


class SweepIdentity(NamedTuple):
    """What the results of a sweep are made from.

    Attributes:
        digests: Of what decides the trainings, by what they are of; the study adds its own.
        inputs: See `SweepContext.inputs`.
    """

    digests: dict[str, str]
    inputs: dict[str, str]


def build_identity(plan: SpacePlan, *, is_tested: bool = False) -> SweepIdentity:
    """Return what decides the results of a sweep: of the first point, and of all files that choices name.

    Args:
        plan: Of the sweep.
        is_tested: Whether each training is scored on test (sweep.test), so that `evaluate` decides, too.

    Raises:
        UserError: An input, such as the images, is absent.
    """
    configs = [plan.first, *_compose_choices(plan)]
    groups = {group: _unite([values[group] for values in configs]) for group in _GROUPS}
    fingerprints = _fingerprint_all(configs)
    images = _unite([_select_images(each) for each in fingerprints])
    weights = _unite([{key: each[key] for key in _WEIGHTS} for each in fingerprints])
    code = {key: value for key, value in compute_code_digests().items() if is_tested or key != "evaluate"}
    if is_tested:
        groups["evaluate"] = {key: plan.first["evaluate"][key] for key in TEST_KEYS}
    digests = {group: _digest(values) for group, values in groups.items()}
    named = {each["of"][key]: each[key] for each in fingerprints for key in (*_WEIGHTS, *_IMAGES)}
    named |= {f"{CODE_NAME}{stage}": digest for stage, digest in code.items()}
    return SweepIdentity(
        {**digests, "images": _digest(images), "base weights": _digest(weights), "code": _digest(code)}, named
    )


def _compose_choices(plan: SpacePlan) -> Iterator[ParamValues]:
    """Compose each choice that names a file of conf/, or an input, beside the first values of the others."""
    point = next(iter(plan.points or ()), None) or {
        axis.key: axis.choices[0] if axis.choices else axis.low for axis in plan.space.axes
    }
    for axis in plan.space.axes:
        if "." not in axis.key or axis.key.lstrip("+~").startswith(_INPUT_KEYS):
            for choice in axis.choices:
                yield plan.configs.compose({**point, axis.key: choice})


def _fingerprint_all(configs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Fingerprint the inputs of configurations, of those that name the same ones once."""
    lock, found = read_lock(), {}
    for values in configs:
        data, finetune = values["data"], values["finetune"]
        named = [data["format"], data["task"], data["source"], data["unlabelled_source"], values["model"]]
        key = _digest([*named, finetune["strategy"] == "scratch", finetune["distill_model"]])
        if key not in found:
            found[key] = fingerprint_inputs(values, lock)[0]
    return [*found.values()]


def _select_images(fingerprints: Mapping[str, Any]) -> Any:
    """Return the fingerprint of the images, with that of pseudo-labelled ones where there are some."""
    source, unlabelled = (fingerprints[key] for key in _IMAGES)
    return source if unlabelled == NO_UNLABELLED else [source, unlabelled]


def _unite(values: Sequence[Any]) -> Any:
    """Return the first value, with the others that differ from it where there are some."""
    others = [value for value in values if value != values[0]]
    return [values[0], *others] if others else values[0]


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
