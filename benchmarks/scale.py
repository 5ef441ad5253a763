"""Measure `prepare` for 1,000, 10,000 and 100,000 images: wall time, CPU time and memory.

    python benchmarks/scale.py [--images 1000 10000] [--format coco] [--folder DIR] [--plot scale.svg]

JPEGs with up to four boxes each are drawn into a temporary folder, or into DIR, which is kept: 64 to 96
pixels, or the size in the environment variable PIXELS. Measured, each as a process: `compose`, which hashes
the source; `prepare`; `prepare` after it was killed half-way; the same conversion (COCO or YOLO to YOLO) by
`supervision`, and from COCO by `datumaro` if it is installed, neither of which checks, splits or reports;
`compose` and `prepare` with 1% new images; and `prepare` with none, without data/prepared, which DVC removes
first. docs/results-data.md has the figures, docs/images/scale.svg plots them.

`datumaro` needs an older Pillow than this project, so it has its own environment:

    python -m venv .finetrack/datumaro
    .finetrack/datumaro/bin/pip install 'datumaro>=1.13,<2'
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
NAMES = ("alpha", "beta", "gamma", "delta")
SMALL = int(os.environ.get("PIXELS", 64))
"""The least side of a picture; in the environment, since other processes draw."""

MORE = 0.01
"""Share of new images of the second run."""

OTHER = """
import supervision
data = supervision.DetectionDataset.{load}
data.as_yolo("supervision/images", "supervision/labels", "supervision/data.yaml")
"""
DATUMARO = ROOT / ".finetrack/datumaro/bin/python"
ANOTHER = """
import os, shutil, sys
from datumaro import Dataset
os.makedirs("in/annotations")
os.symlink("{0}/images", "in/images")
shutil.copy("{0}/annotations.json", "in/annotations/instances_train.json")
Dataset.import_from("in", "coco_instances").export("datumaro", "yolo", save_media=True)
"""
LOADS = {
    "coco": "from_coco('{0}/images', '{0}/annotations.json')",
    "yolo": "from_yolo('{0}/images', '{0}/labels', '{0}/data.yaml')",
}


class Took(NamedTuple):
    """Wall seconds, CPU seconds and peak memory in MB of a process."""

    wall: float
    processor: float
    memory: float


def main() -> None:
    """Measure each number of images, and print a table."""
    asked, found = _arguments(), []
    print("| images | what | seconds | CPU seconds | images/s | peak MB |\n|---|---|---|---|---|---|")
    with nullcontext(asked.folder) if asked.folder else tempfile.TemporaryDirectory() as folder:
        for number in asked.images:
            place = Path(folder).resolve() / f"{asked.format}-{number}"
            for what, took in measure(place, number, asked.format):
                found.append((what, number, took))
                each = f"{number / took.wall:,.0f} | {took.memory:.0f}"
                print(
                    f"| {number:,} | {what} | {took.wall:.1f} | {took.processor:.1f} | {each} |", flush=True
                )
    if asked.plot:
        plot(found, asked.plot)


def plot(found: Sequence[tuple[str, int, Took]], file: Path) -> None:
    """Plot time, rate and memory over the number of images."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams |= {"svg.hashsalt": "scale", "svg.fonttype": "none"}
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
    titles = "CPU seconds", "Images per CPU second", "Peak memory in MB"
    for panel, title in zip(panels, titles, strict=True):
        panel.set(title=title, xlabel="images", xscale="log", yscale="log")
        panel.grid(alpha=0.3)
    for what in dict.fromkeys(what for what, _, _ in found if "killed" not in what):
        rows = sorted((number, took) for name, number, took in found if name == what)
        numbers = [number for number, _ in rows]
        for panel, values in zip(panels, zip(*(_shown(*row) for row in rows), strict=True), strict=True):
            panel.plot(numbers, values, marker="o", label=what)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=6)
    figure.savefig(file, metadata={"Date": None})


def _shown(number: int, took: Took) -> tuple[float, float, float]:
    return took.processor, number / took.processor, took.memory


def measure(folder: Path, number: int, form: str) -> Iterator[tuple[str, Took]]:
    """Yield what was measured, and its time and memory."""
    source, more = folder / "source", max(1, int(number * MORE))
    draw(source, range(number), form)
    time.sleep(2.5)  # hashes of files that just changed are not cached
    project = begin(folder / "project", source, form)
    yield "compose", stage(project, "compose")
    first = stage(project, "prepare")
    yield "prepare", first
    interrupted = begin(folder / "interrupted", source, form)
    stage(interrupted, "prepare", kill_after=first.wall / 2)
    yield "prepare, killed at half of that time, and again", stage(interrupted, "prepare")
    yield "supervision", run([sys.executable, "-c", OTHER.format(load=LOADS[form].format(source))], folder)
    if form == "coco" and DATUMARO.exists():
        shutil.rmtree(folder / "in", ignore_errors=True)
        shutil.rmtree(folder / "datumaro", ignore_errors=True)
        yield "datumaro", run([str(DATUMARO), "-c", ANOTHER.format(source)], folder)
    draw(source, range(number + more), form)
    (project / "data").rename(project / "before")
    time.sleep(2.5)
    yield "compose, 1% new", stage(project, "compose")
    yield "prepare, 1% new", stage(project, "prepare")
    (project / "data").rename(project / "again")
    yield "prepare, nothing new", stage(project, "prepare")


def draw(source: Path, numbers: range, form: str) -> None:
    """Draw missing images, remove surplus ones, and write the labels of all."""
    (source / "images").mkdir(parents=True, exist_ok=True)
    there = {path.name for path in (source / "images").iterdir()}
    for surplus in there - {f"{number:06d}.jpg" for number in numbers}:
        (source / "images" / surplus).unlink()
    missing = [number for number in numbers if f"{number:06d}.jpg" not in there]
    with ProcessPoolExecutor() as pool:
        list(pool.map(_picture, [source] * len(missing), missing, chunksize=100))
    {"coco": _coco, "yolo": _yolo}[form](source, numbers)


def begin(project: Path, source: Path, form: str) -> Path:
    """Create an empty project whose configuration names the source."""
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    shutil.rmtree(project, ignore_errors=True)
    shutil.copytree(ROOT / "conf", project / "conf")
    shutil.copytree(ROOT / "models/foundation", project / "models/foundation")
    overrides = ["data=auto", f"data.format={form}", f"data.source={source}"]
    with initialize_config_dir(str(project / "conf"), version_base=None):
        text = OmegaConf.to_yaml(compose("config", overrides), resolve=True)
    (project / "params.yaml").write_text(text, "utf-8")
    return project


def stage(project: Path, name: str, *, kill_after: float | None = None) -> Took:
    """Run one stage of a project, as `dvc exp run` does."""
    return run([sys.executable, "-m", "pipeline", name], project, kill_after=kill_after)


def run(command: Sequence[str], folder: Path, *, kill_after: float | None = None) -> Took:
    """Run a command to its end, or kill it."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "DVC_EXP_NAME": "scale", "DVC_ROOT": str(folder)}
    start = time.perf_counter()
    with (folder / "output.txt").open("ab") as output:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=output)
    timer = threading.Timer(kill_after or 1e6, process.send_signal, [signal.SIGKILL])
    timer.start()
    _, status, used = os.wait4(process.pid, 0)  # of this process; RUSAGE_CHILDREN: of all
    timer.cancel()
    if status and not kill_after:
        sys.exit(f"{' '.join(command)} failed: see {folder / 'output.txt'}")
    return Took(time.perf_counter() - start, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def _picture(source: Path, number: int) -> None:
    rng = np.random.default_rng(number)
    width, height = _size(number)
    rough = rng.integers(0, 255, (height // 8, width // 8, 3), dtype=np.uint8)
    smooth = cv2.resize(rough, (width, height), interpolation=cv2.INTER_CUBIC)
    data = cv2.imencode(".jpg", smooth)[1].tobytes()
    (source / "images" / f"{number:06d}.jpg").write_bytes(data)


def _size(number: int) -> tuple[int, int]:
    return SMALL + number % 33, SMALL + number // 33 % 33


def _boxes(number: int) -> list[tuple[int, list[int]]]:
    """Return the class and x, y, width, height of each object."""
    rng, (width, height) = np.random.default_rng([number, 1]), _size(number)
    corners = rng.integers(0, (width - 32, height - 32), (int(rng.integers(5)), 2)).tolist()
    return [
        (int(rng.integers(len(NAMES))), [*corner, *rng.integers(8, 33, 2).tolist()]) for corner in corners
    ]


def _coco(source: Path, numbers: range) -> None:
    rows = [(number, cls, box) for number in numbers for cls, box in _boxes(number)]
    images = [
        {"id": number, "file_name": f"{number:06d}.jpg", "width": width, "height": height}
        for number in numbers
        for width, height in [_size(number)]
    ]
    annotations = [
        {
            "id": row,
            "image_id": number,
            "category_id": cls + 1,  # datumaro drops what has 0
            "bbox": box,
            "area": box[2] * box[3],
            "iscrowd": 0,
        }
        for row, (number, cls, box) in enumerate(rows)
    ]
    categories = [{"id": cls + 1, "name": name, "supercategory": "none"} for cls, name in enumerate(NAMES)]
    data = {"images": images, "annotations": annotations, "categories": categories}
    (source / "annotations.json").write_text(json.dumps(data))


def _yolo(source: Path, numbers: range) -> None:
    (source / "labels").mkdir(exist_ok=True)
    for surplus in (source / "labels").iterdir():
        surplus.unlink() if int(surplus.stem) not in numbers else None
    for number in numbers:
        file = source / "labels" / f"{number:06d}.txt"
        width, height = _size(number)
        lines = (
            f"{cls} {(x + w / 2) / width:.6f} {(y + h / 2) / height:.6f} {w / width:.6f} {h / height:.6f}\n"
            for cls, (x, y, w, h) in _boxes(number)
        )
        if not file.exists():
            file.write_text("".join(lines))
    (source / "data.yaml").write_text(f"names: {list(NAMES)}\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--format", choices=sorted(LOADS), default="coco")
    parser.add_argument("--folder", type=Path, help="is kept and reused")
    parser.add_argument("--plot", type=Path, help="the file of the plot")
    return parser.parse_args()


if __name__ == "__main__":
    main()
