"""Measure the start-up of each stage: CPU seconds from the start of Python to its first input.

    python benchmarks/startup.py [ROUNDS]

A stage begins when it opens its first input: `compose` conf/, `prepare` the source, `augment`, `finetune` and
`evaluate` the manifest of data/prepared. The process is stopped there. Since imports may come later, two
later moments are measured too: `evaluate` creates the folder of its results, after predictions on two images
of 32 pixels; `finetune` writes its first checkpoint, after an epoch of a dozen such images and its
validation. The last rows are imports alone.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parent))

import limits

from pipeline.runtime.worker_count import count_available_cores


class Moment(NamedTuple):
    """A moment of a stage: it opens or creates a file or folder whose path contains this text."""

    stage: str
    path: str
    limit: str = ""


MANIFEST = "data/prepared/manifest.json"
MOMENTS = {
    "compose": Moment("compose", "conf/", limit="1.5"),
    "prepare": Moment("prepare", "/source/", limit="1.5"),
    "augment": Moment("augment", MANIFEST, limit="1.5"),
    "finetune": Moment("finetune", MANIFEST, limit="4.0"),
    "evaluate": Moment("evaluate", MANIFEST, limit="1.5"),
    "evaluate, two predictions": Moment("evaluate", "reports/.evaluation"),
    "finetune, first epoch": Moment("finetune", ".ckpt"),
}
LATER = {
    "nothing": "pass",
    "PyTorch": "import torch",
    "PyTorch and Ultralytics": "from ultralytics import YOLO",
    "torchvision beside them": "from ultralytics import YOLO; import torchvision",
    "MLflow": "from mlflow import MlflowClient",
}
TINY = {"epochs": 1, "imgsz": 32, "batch": 8}
WATCH = """
import os, sys, time
def opened(event, arguments):
    if event in ("open", "os.listdir", "os.scandir", "os.mkdir") and {path!r} in str(arguments[0]) + "/":
        os.write(1, f"begun {{time.process_time()}}\\n".encode())
        os._exit(0)
sys.addaudithook(opened)
import runpy
sys.argv = ["pipeline", {stage!r}]
runpy.run_module("pipeline", run_name="__main__", alter_sys=True)
"""


def main() -> None:
    """Print a table."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with tempfile.TemporaryDirectory() as name:
        place = Path(name).resolve()
        project = limits.begin(place, limits.draw(place / "source", limits.FEW), "yolo")
        finish(project)
        took: dict[str, list[float]] = {what: [] for what in (*MOMENTS, *LATER)}
        for _ in range(rounds):
            for what, moment in MOMENTS.items():
                took[what].append(begun(project, moment))
            for what, code in LATER.items():
                took[what].append(limits.run([sys.executable, "-c", code], project, cores=1))
    print("| | CPU seconds, median | least | at most |\n|---|---|---|---|")
    for what, seconds in took.items():
        limit = MOMENTS[what].limit if what in MOMENTS else ""
        print(f"| {what} | {statistics.median(seconds):.2f} | {min(seconds):.2f} | {limit} |")


def finish(project: Path) -> None:
    """Run all stages once, on few small images."""
    file = project / "params.yaml"
    params = yaml.safe_load(file.read_text("utf-8"))
    params["finetune"] |= TINY
    file.write_text(yaml.safe_dump(params), "utf-8")
    (project / "models").mkdir()
    (project / "models/foundation").symlink_to(limits.ROOT / "models/foundation")
    for stage in ("prepare", "augment", "finetune"):
        limits.run([sys.executable, "-m", "pipeline", stage], project, cores=count_available_cores())


def begun(project: Path, moment: Moment) -> float:
    """Return the CPU seconds until a moment of a stage."""
    code = WATCH.format(**moment._asdict())
    environment = os.environ | {"PYTHONPATH": str(limits.ROOT), "DVC_ROOT": str(project)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    _, begin, seconds = done.stdout.rpartition("begun ")
    if not begin:
        sys.exit(f"{moment} never came:\n{done.stderr}")
    return float(seconds)


if __name__ == "__main__":
    main()
