"""Run trainings for the benchmarks, each in its folder: with a strategy, or with plain `yolo train`."""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import checkpoint
import psutil

if TYPE_CHECKING:
    from pipeline.dataset.manifest import ImageRecord

ROOT = Path(__file__).resolve().parents[1]
PHASES = Path(__file__).with_name("phases.py")
PIXELS = {
    "demo": 256,
    **dict.fromkeys(("bccd", "rbc-coco", "windturbine", "deeppcb", "feralcat", "feralcat-masks"), 320),
}
FORMATS = {"bccd": "voc", "rbc-coco": "coco"}
"""How data sets are read; the formats of the others are recognized."""
MASKS = frozenset({"feralcat-masks"})
"""Data sets whose outlines are used; all others are boxes."""
OWN_SPLIT = frozenset({"rbc-coco"})
"""Data sets with their own train, val and test; the others are split 70/15/15 by one seed."""
SEGMENT_ONLY = frozenset({"yolo11n"})
"""Bases whose official weights are at hand for segment: other tasks start from those."""
PLAIN = "yolo train"
SAME_TIME = "same time"
"""The method `full` for the seconds that `yolo train` trains."""
DEFAULTS = "defaults"
"""The method `full` with what own images get: a changed copy of each, epochs by their number, patience."""
CALLBACKS = ("mlflow", "dvc", "tensorboard", "raytune", "clearml", "comet", "wandb", "sync")
"""What Ultralytics would tell of a training to others; ours is not told either while it is measured."""
IDLE_TIMES = frozenset({"idle", "iowait", "guest", "guest_nice"})
COMPOSING = threading.Lock()
"""Hydra composes one configuration at a time in a process."""
Spent = dict[str, float]
"""Wall seconds (wall), CPU seconds (cpu), peak memory in MB (memory), and cores used by others (others)."""


class Terms(NamedTuple):
    """The settings of all cells.

    Attributes:
        cells: The folder in which each cell has its folder.
        sources: The folders of the data sets, by name.
        weights: The folder of official weights.
        epochs: Epochs of each training.
        batch: Images per batch.
        changes: Further overrides of the configuration.
        plain: Further arguments of `yolo train`.
        imgsz: Pixels that images are scaled to; None for the data set's own.
    """

    cells: Path
    sources: dict[str, Path]
    weights: Path | None = None
    epochs: int = 20
    batch: int = 16
    changes: tuple[str, ...] = ()
    plain: tuple[str, ...] = ()
    imgsz: int | None = None


@dataclass(frozen=True)
class Cell:
    """One training: data set, base weights, method and seed."""

    data: str
    base: str
    method: str
    seed: int

    @property
    def name(self) -> str:
        """The name of its folder."""
        return f"{self.data}_{self.base}_{self.method.replace(' ', '-')}_{self.seed}"


def named(name: str) -> Cell:
    """Return the cell whose folder has this name."""
    data, base, method, seed = name.split("_")
    return Cell(data, base, method.replace("-", " "), int(seed))


def take_sources(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that `sources` reads."""
    parser.add_argument("--bccd", type=Path, help="folder of the BCCD dataset (Pascal VOC)")
    parser.add_argument("--rbc-coco", type=Path, help="folder of the RBC dataset (COCO JSON)")
    parser.add_argument("--windturbine", type=Path, help="folder of aerial wind turbines (CSV of boxes)")
    parser.add_argument("--deeppcb", type=Path, help="folder of DeepPCB (text files of boxes)")
    parser.add_argument("--feralcat", type=Path, help="folder of feral cats (YOLO polygons)")
    parser.add_argument("--weights", type=Path, help="folder that holds official weights, such as yolov8n.pt")


def sources(asked: argparse.Namespace) -> dict[str, Path]:
    """Return the given folders of data sets, by name."""
    given = {
        "bccd": asked.bccd,
        "rbc-coco": asked.rbc_coco,
        "windturbine": asked.windturbine,
        "deeppcb": asked.deeppcb,
        "feralcat": asked.feralcat,
        "feralcat-masks": asked.feralcat,
    }
    return {name: folder.resolve() for name, folder in given.items() if folder}


def select_data(cell: Cell, terms: Terms) -> list[str]:
    """Return the overrides that choose the images and the base weights of a cell."""
    words = [f"model={cell.base}", f"finetune.imgsz={terms.imgsz or PIXELS[cell.data]}"]
    if cell.base != "foundation":
        words += [f"model.folder={terms.weights and terms.weights.resolve()}"]
    if cell.data != "demo":
        words += [f"data={FORMATS.get(cell.data, 'auto')}", f"data.source={terms.sources[cell.data]}"]
        words += [f"data.keep_split={cell.data in OWN_SPLIT}"]
        words += [f"data.task={'segment' if cell.data in MASKS else 'detect'}"]
        if cell.base in SEGMENT_ONLY and cell.data not in MASKS:
            words += [f"model.weights={_weights(cell, terms)}"]
    return words


def copy_dataset(prepared: Path, items: Sequence[ImageRecord], target: Path) -> None:
    """Copy some images of a prepared dataset with their labels, as a YOLO dataset with the same splits.

    Args:
        prepared: The folder of the prepared dataset.
        items: The images.
        target: The folder of the copy, which is replaced.
    """
    shutil.rmtree(target, ignore_errors=True)
    for item in items:
        for kind, path in (("images", item.file), ("labels", item.label_file)):
            copy = target / kind / path
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(prepared / kind / path, copy)
    splits = {split: f"images/{split}" for split in dict.fromkeys(item.split for item in items)}
    names = json.loads((prepared / "manifest.json").read_text("utf-8"))["names"]
    text = json.dumps({**splits, "names": dict(enumerate(names))}, allow_nan=False)  # JSON is YAML
    (target / "data.yaml").write_text(text, "utf-8")


def take_cores(lane: int, lanes: int) -> None:
    """Give this thread, and the processes that it starts, its share of the cores."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, set(cores[lane::lanes]) or set(cores))


def read_commit() -> str:
    """Return the project's commit, with -dirty where what a training uses differs from it."""
    run = partial(subprocess.run, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    commit = run(["git", "rev-parse", "--short", "HEAD"]).stdout.strip()
    differs = run(["git", "diff", "--quiet", "HEAD", "--", "pipeline", "conf", "models"]).returncode
    return f"{commit}-dirty" if differs else commit


def begin(cell: Cell, terms: Terms) -> Path:
    """Create the folder of a cell, compose its configuration there, and return the folder."""
    folder = terms.cells / cell.name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    _compose(folder, cell, terms)
    return folder


def _compose(folder: Path, cell: Cell, terms: Terms) -> None:
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    has_defaults = cell.method == DEFAULTS
    overrides = [
        f"seed={cell.seed}",
        f"finetune={'full' if cell.method in (PLAIN, SAME_TIME, DEFAULTS) else cell.method}",
        f"finetune.epochs={'auto' if has_defaults else terms.epochs}",
        f"finetune.batch={terms.batch}",
        f"augment={'light' if has_defaults else 'none'}",
        *select_data(cell, terms),
        f"tracking.uri=sqlite:///{_name_database(terms.cells)}",
        "tracking.experiment=results",
    ]
    with COMPOSING, initialize_config_dir(str(ROOT / "conf"), version_base=None):
        composed = compose("config", [*overrides, *(() if has_defaults else terms.changes)])
        (folder / "params.yaml").write_text(OmegaConf.to_yaml(composed, resolve=True), "utf-8")


def _name_database(folder: Path) -> str:
    """Return the path of the cells' database, relative to the project where it is in it."""
    path = folder.resolve() / "mlflow.db"
    return (path.relative_to(ROOT) if path.is_relative_to(ROOT) else path).as_posix()


def stage(folder: Path, name: str, *, phases: Path | None = None) -> Spent:
    """Run a stage in a cell's folder.

    Args:
        folder: The cell's.
        name: Of the stage.
        phases: Where to write the seconds of each phase of its training.
    """
    run = [str(PHASES), str(phases), "pipeline"] if phases else ["-m", "pipeline"]
    spent = timed(folder, [sys.executable, *run, name], log=name)
    if name == "finetune":
        delete_kept_training(folder, ROOT)
    return spent


def delete_kept_training(folder: Path, root: Path) -> None:
    """Delete the finished training that `finetune` keeps until DVC records it: the next one must train.

    Args:
        folder: Where the stage ran.
        root: The folder of its scratch folder.
    """
    key = json.loads((folder / "models/finetuned/run.json").read_text("utf-8"))["key"]
    shutil.rmtree(root / ".finetrack/checkpoints" / key)


def yolo_train(folder: Path, cell: Cell, terms: Terms, *, phases: Path | None = None) -> Spent:
    """Run `yolo train` with its defaults and without callbacks on the prepared images of a cell."""
    images = folder / "data" / "prepared" / "images"
    names = json.loads((folder / "data" / "prepared" / "manifest.json").read_text("utf-8"))["names"]
    data = {"train": str(images / "train"), "val": str(images / "val"), "names": names}
    (folder / "data.yaml").write_text(json.dumps(data), "utf-8")  # JSON is YAML
    yolo = Path(sys.executable).with_name("yolo")
    off = [f"{name}=False" for name in CALLBACKS]
    beside = f"weights_dir={folder.parent / 'weights'}"  # on a GPU it loads a model for its check of fp16
    timed(folder, [yolo, "settings", *off, beside], log="settings")
    values = {
        "data": "data.yaml",
        **_choose_model(cell, terms),
        "epochs": terms.epochs,
        "imgsz": terms.imgsz or PIXELS[cell.data],
        "batch": terms.batch,
        "seed": cell.seed,
        "project": folder / "yolo",
        "name": "run",
    }
    run = [sys.executable, PHASES, phases, "yolo"] if phases else [yolo]
    arguments = [f"{key}={value}" for key, value in values.items()]
    task = "segment" if cell.data in MASKS else "detect"
    return timed(folder, [*run, task, "train", *arguments, *terms.plain], log="yolo")


def _choose_model(cell: Cell, terms: Terms) -> dict[str, object]:
    if cell.base in SEGMENT_ONLY and cell.data not in MASKS:
        return {"model": f"{cell.base}.yaml", "pretrained": _weights(cell, terms)}
    if cell.base == "foundation" and cell.data in MASKS:
        return {"model": "yolo26n-seg.yaml", "pretrained": _weights(cell, terms)}
    return {"model": _weights(cell, terms)}


def _weights(cell: Cell, terms: Terms) -> Path:
    if cell.base == "foundation":
        return ROOT / "models" / "foundation" / "yolo26n-foundation.pt"
    suffix = "-seg" if cell.data in MASKS or cell.base in SEGMENT_ONLY else ""
    return (terms.weights or ROOT).resolve() / f"{cell.base}{suffix}.pt"


def measure(folder: Path, weights: str) -> dict[str, Any]:
    """Measure a checkpoint on the test split with the code of `evaluate`."""
    timed(folder, checkpoint.build_command(weights, "test"), log="measure")
    return checkpoint.read_measured(folder)


def timed(folder: Path, command: Sequence[object], *, log: str) -> Spent:
    """Run a command in the folder of a cell; return its time and memory, with its child processes."""
    start, busy = time.perf_counter(), _busy_seconds()
    with (folder / f"{log}.log").open("w") as file:
        process = subprocess.Popen(
            [str(part) for part in command],
            cwd=folder,
            env=_environment(folder),
            stdout=file,
            stderr=subprocess.STDOUT,
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{folder.name}: {log} failed, see {file.name}")
    return _spent(time.perf_counter() - start, usage, busy=_busy_seconds() - busy)


def _spent(wall: float, usage: resource.struct_rusage, *, busy: float) -> Spent:
    cpu = usage.ru_utime + usage.ru_stime
    others = max(0.0, busy - cpu) / wall
    return {"wall": wall, "cpu": cpu, "memory": usage.ru_maxrss / 1024, "others": others}


def _busy_seconds() -> float:
    """Return the CPU seconds of all processes of the machine so far."""
    times = psutil.cpu_times()._asdict()
    return sum(seconds for name, seconds in times.items() if name not in IDLE_TIMES)


def _environment(folder: Path) -> dict[str, str]:
    scratch = str(folder.parent / f"{folder.name}-settings")  # trainings side by side would share a file
    quiet = {"YOLO_CONFIG_DIR": scratch, "YOLO_AUTOINSTALL": "false", "YOLO_OFFLINE": "true"}
    quiet["MPLCONFIGDIR"] = scratch
    return {**os.environ, **quiet, "PYTHONPATH": str(ROOT), "DVC_ROOT": str(ROOT)}
