"""Name of a run, a one-line summary of a training, and the threads that it used."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import yaml

from pipeline.config.automatic import AUTOMATIC, Automatic
from pipeline.config.schema import Config
from pipeline.core.config_diff import (
    KeyDifference,
    diff_configs,
    format_short_value,
    shorten_keys,
    unify_numbers,
)
from pipeline.core.metric_names import MAP50, MAP50_95, THREADS, TOP1, TOP5, VAL_GROUP, get_task_metric
from pipeline.core.model_names import TASK_SUFFIXES
from pipeline.core.paths import COMPOSE_LOCK_FILE
from pipeline.core.tasks import Task
from pipeline.finetune.overfitting import OverfittingVerdict
from pipeline.tracking.sweep_origin import read_sweep_label
from pipeline.yolo.job import BaseWeights, TrainingResult

MAX_CHANGED_VALUES: Final = 3
"""Values that a name holds; with more it says none of them."""
_NAMED_KEYS: Final = ("seed", "data.", "augment.", "model.", "finetune.")
"""Begin the keys that decide what is trained."""
_KEYS_OF_NAMES: Final = (
    *("finetune.strategy", "model.name", "model.weights", "model.sha256", "model.folder"),
    "data.source",
)
"""The name says strategy and base weights without them; a path of this machine is no part of a name."""


def choose_base_name(name: str, weights: str, conf: Path = Path("conf/model")) -> str:
    """Choose the name of base weights: `model.name`, or the file's where that name belongs to another file.

    Args:
        name: model.name; conf/model/NAME.yaml says which file it belongs to.
        weights: model.weights.
        conf: The folder of these files.
    """
    try:
        group = yaml.safe_load((conf / f"{name}.yaml").read_text("utf-8"))
    except (OSError, yaml.YAMLError):
        return name
    own = group.get("weights") if isinstance(group, dict) else None
    return name if own in {None, weights} else Path(weights).stem


def name_training(config: Config, base: BaseWeights, *, task: Task, key: str) -> str:
    """Name a training after its configuration.

    Args:
        config: The configuration.
        base: What it starts from.
        task: Of the images: runs of several tasks share an experiment.
        key: Of the training.
    """
    suffix = TASK_SUFFIXES[task]
    name = base.name.removesuffix(suffix) + suffix if base.path else Path(base.architecture).stem
    changed = label_changed_values(config.model_dump(mode="json"))
    return build_run_name(config.finetune.strategy, name, lr0=config.finetune.lr0, key=key, changed=changed)


def build_run_name(
    strategy: str, base: str, *, lr0: float | Automatic | None, key: str, changed: str = ""
) -> str:
    """Build a run name that a person can tell from others: full-foundation-lr1e-3-3f2a1c.

    In a sweep what differs comes first: `lr0=0.001 augment=light 3f2a1c`; in an experiment it is behind the
    base weights: `full-foundation epochs=50 3f2a1c`.

    Args:
        strategy: finetune.strategy.
        base: The name of the base weights.
        lr0: The learning rate; None if the optimizer chooses it, auto if a test does.
        key: Of the training.
        changed: See `label_changed_values`.
    """
    if label := read_sweep_label():
        return f"{label} {key[:6]}"
    if changed:
        return f"{strategy}-{base} {changed} {key[:6]}"
    return f"{strategy}-{base}-lr{_format_rate(lr0)}-{key[:6]}"


def read_composed_values(lock: Path) -> dict[str, Any]:
    """Read the values of conf/ from compose.lock.json; empty for a stage that was started without compose."""
    try:
        composed = json.loads(lock.read_bytes())["composed"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return composed if isinstance(composed, dict) else {}


def label_changed_values(values: Mapping[str, Any], lock: Path = COMPOSE_LOCK_FILE) -> str:
    """Return what an experiment changes of conf/, briefly: `lr0=0.004 epochs=50`.

    It is empty if nothing differs that a name can say: nothing at all, more than `MAX_CHANGED_VALUES`, or
    only what the name says anyway.

    Args:
        values: The configuration of the training; JSON values.
        lock: compose.lock.json, which has the values of conf/.
    """
    if not (composed := read_composed_values(lock)):
        return ""
    pairs = diff_configs(*(unify_numbers(side) for side in (composed, values)))
    changed = [pair for pair in pairs if pair.key.startswith(_NAMED_KEYS) and pair.key not in _KEYS_OF_NAMES]
    if not 0 < len(changed) <= MAX_CHANGED_VALUES:
        return ""
    names = shorten_keys([pair.key for pair in changed])
    return " ".join(
        f"{name}={format_short_value(_drop_folders(pair))}" for name, pair in zip(names, changed, strict=True)
    )


def _drop_folders(pair: KeyDifference) -> Any:
    """Return a new value; of the path of pseudo-labels the last part, since the rest is of this machine."""
    is_path = pair.key == "data.unlabelled_source" and isinstance(pair.new, str)
    return Path(pair.new).name if is_path else pair.new


def _format_rate(lr0: float | Automatic | None) -> str:
    """Format a learning rate briefly, with enough digits to tell the rates of a sweep apart: 1.5e-3."""
    if lr0 is None or lr0 == AUTOMATIC:
        return AUTOMATIC
    if lr0 >= 0.01:
        return f"{lr0:g}"
    digits, exponent = f"{lr0:e}".split("e")
    return f"{float(digits):g}e{int(exponent)}"


def summarize_training(outcome: TrainingResult, overfitting: OverfittingVerdict, *, task: Task) -> str:
    """Summarize a training in one line.

    Args:
        outcome: Its figures; see `yolo.epoch_metrics` for the columns.
        overfitting: The verdict.
        task: Decides which metrics are named.
    """
    return (
        f"val {_format_headline(outcome.best_figures, task)} {_name_best_weights(outcome)}; "
        f"overfitting {overfitting.verdict} (gap {overfitting.gap:.3f}); "
        f"{outcome.rows[-1]['seconds']:.0f} seconds of training"
    )


def _name_best_weights(outcome: TrainingResult) -> str:
    """Name the epoch of best.pt, or the epochs whose mean it is."""
    if outcome.average and outcome.average.is_taken:
        return f"of the mean of epochs {outcome.average.epoch_list} of {len(outcome.rows)}"
    return f"in epoch {outcome.best_epoch} of {len(outcome.rows)}"


def describe_threads(rows: Sequence[Mapping[str, float]]) -> str:
    """Describe how many CPU threads a training used: `2`, or `2 in epochs 1-4, 1.3 in 5, 1 in 6-20`.

    Args:
        rows: The rows of its epochs, each with an average.
    """
    spans = [
        (threads, [int(row["epoch"]) for row in group])
        for threads, group in groupby(rows, key=lambda row: row.get(THREADS, 0))
    ]
    if len(spans) == 1:
        return f"{spans[0][0]:g}"
    first, *others = (f"{threads:g} in {_format_epochs(epochs)}" for threads, epochs in spans)
    return ", ".join([first.replace(" in ", " in epochs ", 1), *others])


def _format_epochs(epochs: Sequence[int]) -> str:
    return f"{epochs[0]}-{epochs[-1]}" if len(epochs) > 1 else f"{epochs[0]}"


def _format_headline(row: Mapping[str, float], task: Task) -> str:
    values = {name: row.get(f"{VAL_GROUP}/{name}") for name in _list_headline_metrics(task)}
    return ", ".join(f"{name} {value:.3f}" for name, value in values.items() if value is not None)


def _list_headline_metrics(task: Task) -> list[str]:
    """List the metrics of the summary: the task's main one first, for masks and poses the box mAP, too."""
    if task == "classify":
        return [TOP1, TOP5]
    return list(dict.fromkeys([get_task_metric(MAP50_95, task), get_task_metric(MAP50, task), MAP50_95]))
