"""Small trainings for tests: random weights, a few images of 64 pixels, seconds on a CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from pipeline.core.model_names import model_name_for_task
from pipeline.core.tasks import Task
from pipeline.dataset.augmented import create_augmented_folders, write_augmentation_records
from pipeline.dataset.manifest import Manifest
from tests import task_sets
from tests.builders import prepared_dataset

NAMES = ("disc", "square", "bar")
CONF = Path(__file__).parents[1] / "conf"
FOUNDATION = CONF.parent / "models/foundation/yolo26n-foundation.pt"
OURS = (
    "defaults",
    "strategy",
    "precision",
    "fast",
    "threads",
    "val_every",
    "repeat_rare",
    "gradual",
    "nodes",
)
KNOBS = ("layer_decay", "ema", "average", "freeze_bn", "sam", "one_to_many", "distill_features")
"""Keys of conf/finetune that are fields of a job under the same names, some with types of their own."""


def dataset(root: Path, *, train: int = 8, val: int = 4, task: Task = "detect") -> Manifest:
    """Write data/prepared and an empty data/augmented below `root`."""
    images = {"train": train, "val": val, "test": 2}
    if task == "detect":
        manifest = prepared_dataset(root / "data/prepared", images=images, pixels=64, classes=NAMES)
    else:
        manifest = task_sets.prepared(root / "data/prepared", task, images=images)
    (root / "data/prepared/samples").mkdir()
    (root / "data/prepared/report.html").write_text("<h1>a set</h1>")
    create_augmented_folders(root / "data/augmented")
    write_augmentation_records(root / "data/augmented", manifest.digest, [])
    return manifest


def arguments(**changes: Any) -> dict[str, Any]:
    """Return the train arguments of conf/ with small sizes and the given changes."""
    finetune = yaml.safe_load((CONF / "finetune/full.yaml").read_text())
    online = yaml.safe_load((CONF / "augment/none.yaml").read_text())["online"]
    sizes = {
        "epochs": 2,
        "imgsz": 64,
        "batch": 4,
        "nbs": 4,
        "lr0": 0.002,
        "warmup_epochs": 0.0,
        "close_mosaic": 1,
        "seed": 0,
    }
    native = {key: value for key, value in finetune.items() if key not in (*OURS, *KNOBS)}
    return native | online | sizes | {"verbose": False} | changes


def job(
    root: Path,
    *,
    weights: Path | None = None,
    precision: str = "fp32",
    gradual: Any = None,
    head: bool = False,
    task: Task = "detect",
    fast: bool | str = True,
    threads: int | None = None,
    repeat_rare: float = 0.0,
    **changes: Any,
):
    """Build a job for the dataset below `root`; checkpoints go to root/checkpoints."""
    from pipeline.yolo.job import BaseWeights, TrainingJob

    folder = root / "checkpoints"
    folder.mkdir(exist_ok=True)
    knobs = {name: changes.pop(name) for name in KNOBS if name in changes}
    images = root / "data/prepared/images"
    base = BaseWeights("test", weights, None, model_name_for_task("yolo26n.yaml", task))
    return TrainingJob(
        arguments(**changes),
        base,
        names=NAMES if task == "detect" else task_sets.NAMES,
        train=(images / "train",),
        val=images / "val",
        precision=precision,
        fast=fast,
        threads=threads,
        repeat_rare=repeat_rare,
        gradual=gradual,
        folder=folder,
        head=head,
        task=task,
        keypoints=task_sets.POINTS if task == "pose" else None,
        **knobs,
    )


def run(job: Any, *, on_epoch: Any = lambda _row: None):
    """Train a job."""
    from pipeline.yolo.training.train import train_model as training_train

    return training_train(job, on_start=lambda _effective: None, on_epoch=on_epoch)
