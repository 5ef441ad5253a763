"""Name the keys of conf/finetune and conf/augment that an experiment sets without effect in its training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from pipeline.config.groups.augment import OnlineAugmentation
from pipeline.config.key_use import find_unmet_condition
from pipeline.core.config_diff import diff_configs, flatten_config, unify_numbers
from pipeline.core.paths import COMPOSE_LOCK_FILE
from pipeline.core.tasks import Keypoints, Task
from pipeline.finetune.run_name import read_composed_values

_GROUPS: Final = ("finetune.", "augment.")


def list_unused_keys(
    values: Mapping[str, Any], task: Task, lock: Path = COMPOSE_LOCK_FILE, conf: Path = Path("conf")
) -> list[str]:
    """List why keys that were set for one training, or were changed in conf/, have no effect.

    Values that come with another strategy or augmentation, from its file, are left out: nobody set them.

    Args:
        values: The configuration of the training; JSON values.
        task: Of the images.
        lock: compose.lock.json, which has the values of conf/.
        conf: The folder of the configuration.

    Returns:
        A sentence for each of them, without a full stop.
    """
    if not (composed := read_composed_values(lock)):
        return []
    chosen = _read_chosen_values(composed, values, conf)
    known = {**flatten_config(values), "data.task": task}
    pairs = diff_configs(*(unify_numbers(side) for side in (composed, values)))
    own = (pair.key for pair in pairs if pair.key.startswith(_GROUPS) and (pair.key, pair.new) not in chosen)
    return [reason for reason in (find_unmet_condition(key, known) for key in own) if reason]


def list_unused_flips(keypoints: Keypoints | None, online: OnlineAugmentation) -> list[str]:
    """List a sentence if no image is mirrored, as it is not known which key points change places."""
    if keypoints is None or keypoints.flip or not (online.fliplr or online.flipud):
        return []
    return [
        f"augment.online.fliplr={online.fliplr:g} and flipud={online.flipud:g} have no effect: it is not "
        "known which key points change places in a mirrored image (state it in the source: flip_idx in "
        "data.yaml, or names of the points)"
    ]


def _read_chosen_values(
    composed: Mapping[str, Any], values: Mapping[str, Any], conf: Path
) -> list[tuple[str, Any]]:
    """Read the values that files of conf/ bring along: of another strategy, and of every augmentation."""
    strategies = [each.get("finetune", {}).get("strategy") for each in (composed, values)]
    files = [("finetune", conf / "finetune" / f"{name}.yaml") for name in {*strategies}]
    if len({*strategies}) == 1:
        files = []
    files += [("augment", path) for path in sorted((conf / "augment").glob("*.yaml"))]
    return [item for group, path in files for item in _read_file(path, group).items()]


def _read_file(path: Path, group: str) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, yaml.YAMLError):
        return {}
    return flatten_config(content, f"{group}.") if isinstance(content, dict) else {}
