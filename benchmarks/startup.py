"""How long each stage takes until it begins: seconds of the processor, from the start of Python.

    python benchmarks/startup.py [ROUNDS]

A stage begins when it opens the first of its inputs: `compose` conf/, `prepare` the source, `augment`,
`finetune` and `evaluate` the manifest of data/prepared. There the process is stopped. What a stage loads
later, where it uses it, is measured beside it, for none is to look fast by loading late: a bare `import` of
PyTorch and Ultralytics, which `evaluate` needs for its first prediction, and of MLflow.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import limits

FIRST = {
    "compose": "conf/",
    "prepare": "/source/",
    "augment": "data/prepared/manifest.json",
    "finetune": "data/prepared/manifest.json",
    "evaluate": "data/prepared/manifest.json",
}
MOST = {"compose": 1.5, "prepare": 1.5, "augment": 1.5, "finetune": 4.0, "evaluate": 1.5}
LATER = {
    "nothing": "pass",
    "PyTorch and Ultralytics": "from ultralytics import YOLO",
    "MLflow": "from mlflow import MlflowClient",
}
WATCH = """
import os, sys, time
def opened(event, arguments):
    if event in ("open", "os.listdir", "os.scandir") and {first!r} in str(arguments[0]) + "/":
        os.write(1, f"{{time.process_time()}}\\n".encode())
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
        project = limits.begin(place / "project", limits.draw(place / "source", limits.FEW), "yolo")
        took: dict[str, list[float]] = {what: [] for what in (*FIRST, *LATER)}
        for _ in range(rounds):
            for stage, first in FIRST.items():
                took[stage].append(begun(project, stage, first))
                if stage == "prepare":
                    limits.run([sys.executable, "-m", "pipeline", stage], project, cores=os.cpu_count() or 1)
            for what, code in LATER.items():
                took[what].append(limits.run([sys.executable, "-c", code], project, cores=1))
    print("| | seconds of processor, median | least | at most |\n|---|---|---|---|")
    for what, seconds in took.items():
        limit = MOST.get(what, "")
        print(f"| {what} | {statistics.median(seconds):.2f} | {min(seconds):.2f} | {limit} |")


def begun(project: Path, stage: str, first: str) -> float:
    """Return the processor's seconds until a stage opens the first of its inputs."""
    code = WATCH.format(stage=stage, first=first)
    environment = os.environ | {"PYTHONPATH": str(limits.ROOT), "DVC_ROOT": str(project)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    if not done.stdout.strip():
        sys.exit(f"{stage} never began:\n{done.stderr}")
    return float(done.stdout)


if __name__ == "__main__":
    main()
