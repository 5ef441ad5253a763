"""One iteration, however it is named: what trained it, what it scored, where its weights are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from pipeline.core.tasks import Task

if TYPE_CHECKING:
    from pipeline.config.schema import Config

ReferenceKind = Literal["run", "alias", "version", "experiment", "revision", "file"]
"""What a name stands for. `alias`: of a registered model, such as champion. `version`: NAME/3 of the
registry. `experiment`: a DVC experiment. `revision`: a git revision, or `workspace`. `file`: weights."""
SINGLE_CLASS_KEY: Final = "finetune.single_cls"
"""Of the configuration: whether all classes were merged into one for the training."""
EVALUATION_SETTINGS: Final = ("conf", "iou", "max_det", "tile", "overlap")
"""Keys of `evaluate` that decide the predictions."""


@dataclass(frozen=True)
class Iteration:
    """One iteration.

    Args:
        reference: As the user typed it.
        kind: See `ReferenceKind`.
        label: For people: the run's name, the experiment's, or the file's.
        task: The task of its weights; None where nothing says it before the weights are loaded.
        names: Class names by index; empty where nothing says them before the weights are loaded.
        run_id: Its MLflow run; None if it has none.
        status: The run's status, such as FINISHED; None without a run.
        version: Of the registered model; None if it is not registered.
        aliases: Of that version, such as champion.
        revision: The git commit that has its dvc.lock; None if unknown.
        params: Flat configuration, such as `{"finetune.lr0": 0.002}`; empty for a file.
        metrics: By the names in MLflow, such as test/mAP50-95 and best/mAP50-95.
        data: Digest of the prepared dataset that it was trained on; None if unknown.
        sha256: Of the weights; None if nothing recorded it.
        predicts_with: conf, iou, max_det and imgsz as chosen on val, and tile and overlap if it was evaluated
            on tiles; may be empty.
        tags: Of the run.
        facts: Further ones for tables: started (seconds since 1970), seconds, commit, dirty, tested (digest
            of the dataset that it was evaluated on), base_seen (what its base weights saw of the test images
            of its own dataset, see `BaseSeen`; absent for nothing).
        file: Of weights, where it is a file.
    """

    reference: str
    kind: ReferenceKind
    label: str
    task: Task | None = None
    names: tuple[str, ...] = ()
    run_id: str | None = None
    status: str | None = None
    version: str | None = None
    aliases: tuple[str, ...] = ()
    revision: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    data: str | None = None
    sha256: str | None = None
    predicts_with: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    file: Path | None = None


def get_evaluation_settings(iteration: Iteration, config: Config) -> dict[str, Any]:
    """Return the settings that an iteration was evaluated with, or the present ones where none are recorded.

    Args:
        iteration: `predicts_with` says them, else its configuration. The threshold chosen on val is not one
            of them: an evaluation keeps all boxes from evaluate.conf on.
        config: `evaluate` is used.

    Returns:
        A value for each of `EVALUATION_SETTINGS`; `tile` is None for no tiles.
    """
    known: dict[str, Any] = {
        name: iteration.params.get(f"evaluate.{name}", getattr(config.evaluate, name))
        for name in EVALUATION_SETTINGS
    }
    if iteration.predicts_with:  # it names tiles only where there were some
        known |= {"tile": None, **iteration.predicts_with, "conf": known["conf"]}
    return {name: known[name] for name in EVALUATION_SETTINGS}
