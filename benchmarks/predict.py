"""Compare the throughput of `finetrack predict` and `yolo predict` on a folder of images, by turns.

    python benchmarks/predict.py WEIGHTS FOLDER [--rounds 3] [--imgsz 320] [--batch N]

Both write labelled pictures and text labels of the same images, with the same threshold, in processes of
their own; finetrack writes COCO JSON and CSV besides. Each pair is run by turns, and the table shows medians:
images a second of wall time, CPU milliseconds an image, and the ratio of both. The times include the start
and the load of the model. On a busy machine the CPU time says more.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pipeline.source.reading.file_tree import list_images

ROOT = Path(__file__).resolve().parents[1]


class Cost(NamedTuple):
    """What one run took.

    Attributes:
        wall: Seconds of wall time.
        cpu: Seconds of CPU time, of all threads.
    """

    wall: float
    cpu: float


def measure(command: list[str], folder: Path) -> Cost:
    """Run a command in a folder."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stdout}\n{done.stderr}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(time.perf_counter() - start, cpu)


def compare(options: argparse.Namespace) -> dict[str, list[Cost]]:
    """Run both by turns."""
    source, weights = options.source.resolve(), options.weights.resolve()
    found: dict[str, list[Cost]] = {"finetrack": [], "yolo": []}
    for turn in range(options.rounds):
        with tempfile.TemporaryDirectory() as name:
            commands = {
                "finetrack": [
                    *(sys.executable, "-m", "pipeline", "predict", str(source), "--model", str(weights)),
                    *("--output", f"{name}/finetrack", "--conf", "0.25", "--imgsz", str(options.imgsz)),
                ],
                "yolo": [
                    *("yolo", "predict", f"model={weights}", f"source={source}", f"project={name}"),
                    *("save_txt=True", "conf=0.25", f"imgsz={options.imgsz}", "verbose=False"),
                    *([f"batch={options.batch}"] if options.batch else []),
                ],
            }
            order = list(commands) if turn % 2 else list(commands)[::-1]
            for tool in order:
                cost = measure(commands[tool], ROOT if tool == "finetrack" else Path(name))
                found[tool].append(cost)
                print(f"{tool}: {cost.wall:.1f} s, {cost.cpu:.1f} s of CPU", file=sys.stderr, flush=True)
    return found


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("source", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--imgsz", type=int, default=320)
    parser.add_argument("--batch", type=int, help="of yolo predict, whose default is 1")
    options = parser.parse_args()
    images = len(list_images(options.source))
    found = compare(options)
    print("| tool | images a second | CPU ms an image |\n|---|---|---|")
    for tool, costs in found.items():
        wall, cpu = (statistics.median(values) for values in zip(*costs, strict=True))
        print(f"| {tool} | {images / wall:.1f} | {1000 * cpu / images:.1f} |")
    pairs = list(zip(found["finetrack"], found["yolo"], strict=True))
    for name in Cost._fields:
        ratios = [getattr(other, name) / getattr(own, name) for own, other in pairs]
        print(f"{name} of yolo over that of finetrack: {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
