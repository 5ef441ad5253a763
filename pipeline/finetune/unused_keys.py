"""Name the keys of conf/finetune that an experiment sets and that have no effect in its training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pipeline.config.key_use import find_unmet_condition
from pipeline.core.config_diff import diff_configs, flatten_config, unify_numbers
from pipeline.core.paths import COMPOSE_LOCK_FILE
from pipeline.core.tasks import Task
from pipeline.finetune.run_name import read_composed_values

_GROUP: Final = "finetune."


def list_unused_keys(values: Mapping[str, Any], task: Task, lock: Path = COMPOSE_LOCK_FILE) -> list[str]:
    """List why keys that were set for one training, or were changed in conf/, have no effect.

    Keys that come with another strategy, from its file in conf/finetune, are left out: nobody set them.

    Args:
        values: The configuration of the training; JSON values.
        task: Of the images.
        lock: compose.lock.json, which has the values of conf/.

    Returns:
        A sentence for each of them, without a full stop.
    """
    composed = read_composed_values(lock)
    if composed.get("finetune", {}).get("strategy") != values["finetune"]["strategy"]:
        return []
    known = {**flatten_config(values), "data.task": task}
    pairs = diff_configs(*(unify_numbers(side) for side in (composed, values)))
    reasons = (find_unmet_condition(pair.key, known) for pair in pairs if pair.key.startswith(_GROUP))
    return [reason for reason in reasons if reason]
