"""Measure the strategies on real data beside plain `yolo train`, and write docs/results.md.

    python benchmarks/results.py --bccd DIR --rbc-coco DIR --weights DIR [--seeds 0,1,2] [--suite foundation]
        [--jobs 2]

Every cell (data, base weights, method, seed) runs in its own folder below .finetrack/results with the same
images, image size, batch and epochs, `--jobs` of them at a time; what is finished is not run again.
`yolo train` is a process of its own with all its defaults and no logging callbacks; its best.pt is measured
by the same code on the same images. A strategy that was interrupted goes on where it was, and its time is
left out of the tables.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
CELLS = ROOT / ".finetrack" / "results"
EPOCHS, BATCH = 20, 16
PIXELS = {"demo": 256, "bccd": 320, "rbc-coco": 320}
BASES = {"foundation": "foundation", "yolov8n": "yolov8n"}
Spent = dict[str, float]
"""Seconds on the clock (wall) and of the processor (cpu)."""
METHODS = ("yolo train", "full", "head", "gradual", "scratch")


@dataclass(frozen=True)
class Cell:
    """One training: what it learns from, how, and by which seed."""

    data: str
    base: str
    method: str
    seed: int

    @property
    def folder(self) -> Path:
        """Where it runs and leaves result.json."""
        return CELLS / f"{self.data}_{self.base}_{self.method.replace(' ', '-')}_{self.seed}"


def main() -> None:
    """Run the cells that are missing, then render all that are there."""
    asked = _arguments()
    cells = [*dict.fromkeys(cell for suite in asked.suite.split(",") for cell in _cells(suite, asked))]
    missing = [cell for cell in cells if not (cell.folder / "result.json").exists()]
    with ThreadPoolExecutor(asked.jobs) as pool:
        for number, cell in enumerate(pool.map(lambda cell: _run(cell, asked), missing), 1):
            print(f"[{number}/{len(missing)}] {cell}", flush=True)
    (ROOT / "docs" / "results.md").write_text(_render(), encoding="utf-8")
    print("wrote docs/results.md")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bccd", type=Path, help="folder of the BCCD dataset (Pascal VOC)")
    parser.add_argument("--rbc-coco", type=Path, help="folder of the RBC dataset (COCO JSON)")
    parser.add_argument("--weights", type=Path, help="folder that holds the official yolov8n.pt")
    parser.add_argument("--seeds", default="0", help="comma-separated, such as 0,1,2")
    parser.add_argument("--suite", default="strategies", help="strategies, foundation, or both with a comma")
    parser.add_argument("--jobs", type=int, default=1, help="cells at a time")
    return parser.parse_args()


def _cells(suite: str, asked: argparse.Namespace) -> Iterator[Cell]:
    for seed in map(int, asked.seeds.split(",")):
        if suite == "foundation":
            for data in ["demo", *(["bccd"] if asked.bccd else [])]:
                yield Cell(data, "foundation", "full", seed)
                yield Cell(data, "foundation", "scratch", seed)
            continue
        for data in (name for name in ("bccd", "rbc-coco") if _source(name, asked)):
            for base in ("foundation", *(["yolov8n"] if asked.weights else [])):
                for method in METHODS:
                    if (base, method) != ("yolov8n", "scratch"):
                        yield Cell(data, base, method, seed)


def _source(data: str, asked: argparse.Namespace) -> Path | None:
    folder: Path | None = vars(asked)[data.replace("-", "_")]
    return folder.resolve() if folder else None


def _run(cell: Cell, asked: argparse.Namespace) -> Cell:
    whole = cell.method == "yolo train" or not cell.folder.exists()
    shutil.rmtree(cell.folder, ignore_errors=True)
    cell.folder.mkdir(parents=True)
    _compose(cell, asked)
    spent = {"prepare": _stage(cell, "prepare")}
    if cell.method == "yolo train":
        spent["finetune"] = _yolo_train(cell, asked)
        metrics = _measure(cell)
    else:
        for stage in ("augment", "finetune", "evaluate"):
            spent[stage] = _stage(cell, stage)
        metrics = json.loads((cell.folder / "reports" / "metrics.json").read_text("utf-8"))["test"]
    shutil.rmtree(cell.folder / "data")
    if not whole:
        del spent["finetune"]
    (cell.folder / "result.json").write_text(json.dumps({"spent": spent, "test": metrics}), "utf-8")
    return cell


def _compose(cell: Cell, asked: argparse.Namespace) -> None:
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    overrides = [
        f"seed={cell.seed}",
        f"finetune={'full' if cell.method == 'yolo train' else cell.method}",
        f"finetune.epochs={EPOCHS}",
        f"finetune.batch={BATCH}",
        f"finetune.imgsz={PIXELS[cell.data]}",
        "augment=none",
        f"model={BASES[cell.base]}",
        "tracking.uri=sqlite:///.finetrack/results/mlflow.db",
        "tracking.experiment=results",
    ]
    if cell.base == "yolov8n":
        overrides.append(f"model.folder={asked.weights.resolve()}")
    if cell.data != "demo":
        form, kept = {"bccd": ("voc", False), "rbc-coco": ("coco", True)}[cell.data]
        overrides += [f"data={form}", f"data.source={_source(cell.data, asked)}", f"data.keep_split={kept}"]
    with initialize_config_dir(str(ROOT / "conf"), version_base=None):
        (cell.folder / "params.yaml").write_text(
            OmegaConf.to_yaml(compose("config", overrides), resolve=True), "utf-8"
        )


def _environment() -> dict[str, str]:
    scratch = str(CELLS / "ultralytics")
    quiet = {"YOLO_CONFIG_DIR": scratch, "YOLO_AUTOINSTALL": "false", "MPLCONFIGDIR": scratch}
    return {**os.environ, **quiet, "PYTHONPATH": str(ROOT), "DVC_ROOT": str(ROOT)}


def _stage(cell: Cell, stage: str) -> Spent:
    return _timed(cell, [sys.executable, "-m", "pipeline", stage], log=stage)


def _timed(cell: Cell, command: list[str], *, log: str) -> Spent:
    start = time.perf_counter()
    with (cell.folder / f"{log}.log").open("w") as file:
        process = subprocess.Popen(
            command, cwd=cell.folder, env=_environment(), stdout=file, stderr=subprocess.STDOUT
        )
        _, status, usage = os.wait4(process.pid, 0)  # its own processor time, its loaders' included
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{cell}: {log} failed, see {file.name}")
    return {"wall": time.perf_counter() - start, "cpu": usage.ru_utime + usage.ru_stime}


def _yolo_train(cell: Cell, asked: argparse.Namespace) -> Spent:
    images = cell.folder / "data" / "prepared" / "images"
    names = json.loads((cell.folder / "data" / "prepared" / "manifest.json").read_text("utf-8"))["names"]
    data = {"train": str(images / "train"), "val": str(images / "val"), "names": names}
    (cell.folder / "data.yaml").write_text(json.dumps(data), "utf-8")  # JSON is YAML
    bundled = ROOT / "models" / "foundation" / "yolo26n-foundation.pt"
    weights = bundled if cell.base == "foundation" else asked.weights.resolve() / f"{cell.base}.pt"
    _callbacks_off(cell)
    yolo = Path(sys.executable).with_name("yolo")
    values = {
        "data": "data.yaml",
        "model": weights,
        "epochs": EPOCHS,
        "imgsz": PIXELS[cell.data],
        "batch": BATCH,
        "seed": cell.seed,
        "project": cell.folder / "yolo",
        "name": "run",
    }
    return _timed(cell, [str(yolo), "detect", "train", *(f"{k}={v}" for k, v in values.items())], log="yolo")


def _callbacks_off(cell: Cell) -> None:
    yolo = Path(sys.executable).with_name("yolo")
    off = ["mlflow=False", "dvc=False", "tensorboard=False", "sync=False"]
    _timed(cell, [str(yolo), "settings", *off], log="settings")


def _measure(cell: Cell) -> dict[str, Any]:
    """Measure what `yolo train` made, by the code and on the images that the strategies are measured by."""
    code = (
        "import json; from pathlib import Path; from pipeline import compose;"
        "from pipeline.core import layout;"
        "from pipeline.edges.dataset import read_manifest;"
        "from pipeline.stages.evaluate import figures, look, measure;"
        "config, manifest = compose.load(), read_manifest(layout.PREPARED);"
        "looked = look(config, manifest, Path('yolo/run/weights/best.pt'));"
        "found = figures(measure(config, manifest, looked));"
        "Path('measured.json').write_text(json.dumps(found['test']))"
    )
    _timed(cell, [sys.executable, "-c", code], log="measure")
    measured: dict[str, Any] = json.loads((cell.folder / "measured.json").read_text("utf-8"))
    return measured


HEAD = f"""# Results

Written by `benchmarks/results.py` (`make results`): {EPOCHS} epochs, batch {BATCH}, `augment=none`, every
method with the same images, split, image size and base weights. Measured on the test split; the brackets are
the bootstrap 95% interval over test images, of the first seed where there are several. bccd is divided
70/15/15 by one seed for all; rbc-coco keeps the split that it comes with. Seconds are of the whole process
(`python -m pipeline finetune` or `yolo train`, start-up included): on the clock, which holds only as far as
the machine had nothing else to do, and of the processor, loaders included, which other work hardly changes.
What is not in the tables has not been measured yet; what the data itself holds stands in
[results-data.md](results-data.md). Machine: {os.cpu_count()} CPU cores, {platform.system()}
{platform.machine()}, no GPU.
"""
COLUMNS = """| method | seeds | mAP50-95 | mAP50 | seconds | as a ratio | processor seconds | as a ratio |
|---|---|---|---|---|---|---|---|
"""


def _render() -> str:
    found = {_cell(path): json.loads(path.read_text("utf-8")) for path in sorted(CELLS.glob("*/result.json"))}
    pairs = [(data, base) for data in PIXELS for base in BASES if _any(data, base, found)]
    return "\n".join([HEAD, *(_table(data, base, found) + "\n" for data, base in pairs)])


def _cell(path: Path) -> Cell:
    data, base, method, seed = path.parent.name.split("_")
    return Cell(data, base, method.replace("yolo-train", "yolo train"), int(seed))


def _any(data: str, base: str, found: dict[Cell, Any]) -> bool:
    return any((cell.data, cell.base) == (data, base) for cell in found)


def _table(data: str, base: str, found: dict[Cell, Any]) -> str:
    head = f"## {data}, {PIXELS[data]} px, from {base}\n\n{COLUMNS}"
    groups = {m: [found[c] for c in found if (c.data, c.base, c.method) == (data, base, m)] for m in METHODS}
    plain = groups["yolo train"]
    return head + "\n".join(_row(method, rows, plain) for method, rows in groups.items() if rows)


def _row(method: str, rows: list[dict[str, Any]], plain: list[dict[str, Any]]) -> str:
    first = rows[0]["test"]
    main = " / ".join(f"{row['test']['mAP50-95']:.3f}" for row in rows)
    if len(rows) > 1:
        main += f", mean {mean(row['test']['mAP50-95'] for row in rows):.3f}"
    interval = f"[{first['mAP50-95_low']:.3f}, {first['mAP50-95_high']:.3f}]"
    fifty = f"{mean(row['test']['mAP50'] for row in rows):.3f}"
    times = " | ".join(_time(rows, plain, clock) for clock in ("wall", "cpu"))
    return f"| {method} | {len(rows)} | {main} {interval} | {fifty} | {times} |"


def _time(rows: list[dict[str, Any]], plain: list[dict[str, Any]], clock: str) -> str:
    own, other = (
        [row["spent"]["finetune"][clock] for row in some if "finetune" in row["spent"]]
        for some in (rows, plain)
    )
    shown = f"{mean(own):.0f}" if own else ""
    return f"{shown} | {mean(own) / mean(other):.2f}" if own and other else f"{shown} |"


if __name__ == "__main__":
    main()
