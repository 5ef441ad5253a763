"""Compare `prepare` and `augment` with bare loops that only decode, transform and encode.

    python benchmarks/limits.py [FOLDER ...] [--images 100 400] [--cores 1 2] [--rounds 3] [--plot FILE.svg]

Uses growing numbers of drawn JPEGs of 640 x 480 pixels with twenty boxes each, and each FOLDER of labelled
images (in any format that `prepare` reads). Stage and bare loop run in turn on the same cores, so that a busy
machine slows both alike. The bare loops have no labels, splits, records or checks:

    prepare   read and hash the file, decode it once with OpenCV, write a copy of the file
    augment   read, decode, apply the transforms of the stage's copies with OpenCV, encode, write

The time of a stage is its CPU time less that of the same stage on eight images, divided by the number of
further images: benchmarks/startup.py measures the start.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import cv2
import numpy as np

from pipeline.augment.affine import build_affine_matrix, shift_to_pixel_centers
from pipeline.augment.parameters import AugmentationParameters

ROOT = Path(__file__).resolve().parents[1]
FEW = 8
SIZE = 640, 480
BOXES = 20
AUGMENT = "augment=light", "augment.offline.blur=1.5", "augment.offline.noise=0.04"
BARE = """
import json, os, sys, time
from pathlib import Path
import cv2, numpy as np
cv2.setNumThreads(1)
from concurrent.futures import ThreadPoolExecutor
import hashlib

def prepare(source, target):
    data = Path(source).read_bytes()
    hashlib.sha256(data).hexdigest()
    cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    Path(target).write_bytes(data)

def augment(source, target, matrix, tones, blur, noise):
    image = cv2.imread(source)
    if matrix:
        size = image.shape[1], image.shape[0]
        image = cv2.warpAffine(image, np.array(matrix), size, flags=cv2.INTER_LINEAR, borderValue=(114,) * 3)
    image = cv2.LUT(image, np.array(tones, np.uint8))
    if blur:
        image = cv2.GaussianBlur(image, (0, 0), blur)
    if noise:
        drawn = np.empty(image.shape, np.int16)
        cv2.randn(drawn, np.zeros(3), np.full(3, noise * 255))
        image = cv2.add(image, drawn, dtype=cv2.CV_8U)
    cv2.imwrite(target, image, [cv2.IMWRITE_JPEG_QUALITY, 95])

todo = json.load(open(sys.argv[2]))
used = time.process_time()
with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
    list(pool.map(lambda args: globals()[sys.argv[1]](*args), todo))
print(time.process_time() - used)
"""


class Row(NamedTuple):
    """CPU seconds of a stage and of the bare loop, for a number of images."""

    what: str
    stage: str
    images: int
    cores: int
    ours: float
    bare: float


def main() -> None:
    """Print a table, and plot the rates over the number of images."""
    asked = _arguments()
    print("| images | stage | number | cores | CPU ms, stage | bare | ratio | images/s per core |")
    print("|---|---|---|---|---|---|---|---|")
    rows = []
    with tempfile.TemporaryDirectory() as place:
        for row in measure(Path(place).resolve(), asked):
            rows.append(row)
            ours, bare = row.ours / row.images, row.bare / row.images
            cells = f"{row.what} | {row.stage} | {row.images} | {row.cores} | {ours * 1000:.2f}"
            rates = f"{1 / ours:.0f} of {1 / bare:.0f}"
            print(f"| {cells} | {bare * 1000:.2f} | {ours / bare:.2f} | {rates} |", flush=True)
    if asked.plot:
        plot([row for row in rows if row.what == "drawn"], asked.plot)


def measure(place: Path, asked: argparse.Namespace) -> Iterator[Row]:
    """Yield a row per stage, number of images and number of cores."""
    sources = [("drawn", draw(place / f"drawn-{number}", number), "yolo") for number in asked.images]
    sources += [(folder.name, folder.resolve(), "auto") for folder in asked.folders]
    few = draw(place / "few", FEW)
    for cores in asked.cores:
        started = {stage: (took, n) for stage, took, _, n in rounds(place, few, "yolo", cores, asked.rounds)}
        for what, source, form in sources:
            for stage, took, bare, number in rounds(place, source, form, cores, asked.rounds):
                before, begun = started[stage]
                ours = (took - before) * number / (number - begun)
                yield Row(what, stage, number, cores, ours, bare)


def rounds(
    place: Path, source: Path, form: str, cores: int, number: int
) -> Iterator[tuple[str, float, float, int]]:
    """Yield stage, median CPU seconds of the stage and of the bare loop, and number of images."""
    took: dict[str, list[tuple[float, float]]] = {"prepare": [], "augment": []}
    for _ in range(number):
        project = begin(place, source, form)
        took["prepare"].append((stage(project, "prepare", cores), bare(project, "prepare", cores)))
        took["augment"].append((stage(project, "augment", cores), bare(project, "augment", cores)))
        todo = {name: len(json.loads((project / f"{name}.json").read_text())) for name in took}
    for name, pairs in took.items():
        ours, theirs = map(statistics.median, zip(*pairs, strict=True))
        yield name, ours, theirs, todo[name]


def begin(place: Path, source: Path, form: str) -> Path:
    """Create a new project with empty caches, whose configuration names the source.

    Earlier projects are not deleted: after many files were deleted, ext4 allocates slowly for some seconds.
    """
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    project = Path(tempfile.mkdtemp(prefix="project-", dir=place))
    shutil.copytree(ROOT / "conf", project / "conf")
    split = "data.split={train: 0.8, val: 0.1, test: 0.1}"
    overrides = ["data=auto", f"data.format={form}", f"data.source={source}", "data.keep_split=false", split]
    with initialize_config_dir(str(project / "conf"), version_base=None):
        text = OmegaConf.to_yaml(compose("config", [*overrides, *AUGMENT]), resolve=True)
    (project / "params.yaml").write_text(text, "utf-8")
    return project


def stage(project: Path, name: str, cores: int) -> float:
    """Run a stage on a number of cores, and list the work of the bare loop for the same result."""
    took = run([sys.executable, "-m", "pipeline", name], project, cores)
    target = project / "bare" / name
    target.mkdir(parents=True)
    todo = (_sources if name == "prepare" else _copies)(project)
    listed = [
        [str(source), str(target / f"{number}.jpg"), *rest] for number, (source, *rest) in enumerate(todo)
    ]
    (project / f"{name}.json").write_text(json.dumps(listed))
    return took


def _sources(project: Path) -> Iterator[tuple[object, ...]]:
    for item in json.loads((project / "data/prepared/manifest.json").read_text())["items"]:
        yield (project / "data/prepared/images" / item["file"],)


def _copies(project: Path) -> Iterator[tuple[object, ...]]:
    """Compute matrix and gray levels of each copy first: the bare loop only calls OpenCV."""
    for copy in json.loads((project / "data/augmented/records.json").read_text())["copies"]:
        source = project / "data/prepared/images" / copy["source"]
        image, recipe = cv2.imread(str(source)), AugmentationParameters(**copy["transforms"])
        matrix = build_affine_matrix(recipe, image.shape[1], image.shape[0])
        affine = [] if np.array_equal(matrix, np.eye(3)) else shift_to_pixel_centers(matrix)[:2].tolist()
        tones = (np.arange(256) - image.mean()) * recipe.contrast + image.mean() + recipe.brightness * 255
        yield source, affine, np.clip(np.rint(tones), 0, 255).tolist(), recipe.blur, recipe.noise


def bare(project: Path, name: str, cores: int) -> float:
    """Run the bare loop on a number of cores; its start is not counted."""
    command = [sys.executable, "-c", BARE, name, str(project / f"{name}.json")]
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, preexec_fn=lambda: _keep_to(cores)
    )
    return float(done.stdout)


def run(command: list[str], folder: Path, cores: int) -> float:
    """Run a command on a number of cores; return its CPU seconds."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "DVC_ROOT": str(folder), "DVC_EXP_NAME": "limits"}
    with (folder / "output.txt").open("ab") as out:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=out, stderr=out, preexec_fn=lambda: _keep_to(cores)
        )
    _, status, used = os.wait4(process.pid, 0)
    if status:
        sys.exit((folder / "output.txt").read_text())
    return used.ru_utime + used.ru_stime


def _keep_to(cores: int) -> None:
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])


def draw(source: Path, number: int) -> Path:
    """Create a YOLO dataset of JPEGs with as much detail as photographs, and random boxes."""
    for name in ("images", "labels"):
        (source / name).mkdir(parents=True)
    (source / "data.yaml").write_text("names: [alpha, beta, gamma]\n")
    for index in range(number):
        rng = np.random.default_rng(index)
        rough = rng.integers(0, 255, (SIZE[1] // 8, SIZE[0] // 8, 3), dtype=np.uint8)
        image = cv2.resize(rough, SIZE, interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(source / "images" / f"{index:05d}.jpg"), image)
        lines = (f"{rng.integers(3)} {x:.6f} {y:.6f} 0.1 0.1\n" for x, y in rng.uniform(0.1, 0.9, (BOXES, 2)))
        (source / "labels" / f"{index:05d}.txt").write_text("".join(lines))
    return source


def plot(rows: list[Row], path: Path) -> None:
    """Plot images per CPU second over the number of images, for each of `--cores`."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.4), layout="constrained")
    for panel, name in zip(figure.subplots(1, 2), ("prepare", "augment"), strict=True):
        for cores in sorted({row.cores for row in rows}):
            line = [row for row in rows if row.stage == name and row.cores == cores]
            numbers, of = [row.images for row in line], "1 core" if cores == 1 else f"{cores} cores"
            for side, style in (("ours", "o-"), ("bare", "s:")):
                rates = [row.images / getattr(row, side) for row in line]
                what = f"{name if side == 'ours' else 'bare loop'}, {of}"
                panel.plot(numbers, rates, style, color=f"C{cores - 1}", label=what)
        panel.set(xlabel="images", ylabel="images/s per core", xticks=numbers, xlim=(0, None), ylim=(0, None))
        panel.legend(loc="lower right", fontsize=8)
        panel.grid(alpha=0.3)
    figure.savefig(path)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", type=Path, nargs="*", metavar="FOLDER")
    parser.add_argument("--images", type=int, nargs="+", default=[100, 400])
    parser.add_argument("--cores", type=int, nargs="+", default=[1])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--plot", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
