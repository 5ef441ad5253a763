"""Measure label suspects: how many of the first 50 are planted errors.

    python benchmarks/suspects.py [--source DIR --format voc] [--share 0.15] [--seed 0] [--first 50]

A dataset (drawn steel, unless a source is given) is prepared. Errors are planted in a share of its objects,
in all splits: a third deleted, a third given another class, a third moved by 20 to 40% of its size in x and
y. A model is trained on these labels and evaluated, and reports/evaluation/suspects.json is compared with the
planted errors. All files are in .finetrack/suspects.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # the project is not installed
FOLDER = ROOT / ".finetrack" / "suspects"
EPOCHS, BATCH = 20, 16


def main() -> None:
    """Prepare, plant errors, train, evaluate, and count."""
    asked = _arguments()
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    _compose(asked)
    _stage("prepare")
    planted = spoil(FOLDER / "data/prepared", share=asked.share, seed=asked.seed)
    shutil.rmtree(FOLDER / "data/columns")  # they are of the labels before
    for stage in ("augment", "finetune", "evaluate"):
        _stage(stage)
    found = json.loads((FOLDER / "reports/evaluation/suspects.json").read_text("utf-8"))["suspects"]
    print(verdict(found[: asked.first], planted, objects=_objects(), first=asked.first))


def spoil(prepared: Path, *, share: float, seed: int) -> list[dict[str, Any]]:
    """Plant errors in the labels of a prepared dataset, and update its manifest; return the errors."""
    from pipeline.dataset.manifest import parse_manifest, serialize_manifest

    described = parse_manifest((prepared / "manifest.json").read_text("utf-8"))
    rng = np.random.default_rng(seed)
    items, planted = [], []
    for item in described.items:
        path = prepared / "labels" / item.label_file
        lines, rows = _spoilt(
            path.read_text("utf-8").splitlines(), len(described.names), share=share, rng=rng
        )
        text = "".join(f"{line}\n" for line in lines)
        path.write_text(text, "utf-8")
        digest = hashlib.sha256(text.encode()).hexdigest()
        items.append(
            replace(item, labels_sha256=digest, classes=tuple(int(line.split()[0]) for line in lines))
        )
        scale = np.array([item.width, item.height])
        planted += [{"file": item.file, "kind": kind, "box": _corners(box, scale)} for kind, box in rows]
    spoilt = replace(described, items=tuple(items))
    (prepared / "manifest.json").write_text(serialize_manifest(spoilt), "utf-8")
    return planted


def verdict(found: list[dict[str, Any]], planted: list[dict[str, Any]], *, objects: int, first: int) -> str:
    """Count the suspects that point at a planted error: at the true place of its object."""
    hits = [next((row for row in planted if _points_at(suspect, row)), None) for suspect in found]
    right = sum(hit is not None for hit in hits)
    kinds = Counter(row["kind"] for row in planted)
    shown, caught = Counter(s["kind"] for s in found), Counter(hit["kind"] for hit in hits if hit)
    precision, chance = right / max(len(found), 1), len(planted) / objects
    return (
        f"{len(planted)} of {objects} labels spoilt ({dict(kinds)}); of the first {first} suspects "
        f"({dict(shown)}) {right} point at one ({dict(caught)}): "
        f"precision {precision:.2f}, by chance {chance:.2f}"
    )


def _spoilt(
    lines: list[str], classes: int, *, share: float, rng: np.random.Generator
) -> tuple[list[str], list[tuple[str, np.ndarray]]]:
    kept, rows = [], []
    for line in lines:
        name, *numbers = line.split()
        box = np.array(numbers, np.float64)
        if rng.random() >= share:
            kept.append(line)
            continue
        kind = ("deleted", "swapped", "moved")[
            int(rng.integers(3 if classes > 1 else 2) * (1 if classes > 1 else 2))
        ]
        rows.append((kind, box))
        if kind == "swapped":
            other = (int(name) + int(rng.integers(1, classes))) % classes
            kept.append(" ".join([str(other), *numbers]))
        if kind == "moved":
            moved = box.copy()
            moved[:2] += rng.uniform(0.2, 0.4, 2) * box[2:] * rng.choice([-1, 1], 2)
            kept.append(" ".join([name, *(f"{value:.6f}" for value in _inside(moved))]))
    return kept, rows


def _inside(box: np.ndarray) -> np.ndarray:
    low, high = np.clip(box[:2] - box[2:] / 2, 0, 1), np.clip(box[:2] + box[2:] / 2, 0, 1)
    return np.concatenate([(low + high) / 2, high - low])


def _corners(box: np.ndarray, scale: np.ndarray) -> list[float]:
    low, high = (box[:2] - box[2:] / 2) * scale, (box[:2] + box[2:] / 2) * scale
    return [*low.tolist(), *high.tolist()]


def _points_at(suspect: dict[str, Any], row: dict[str, Any]) -> bool:
    """Return whether the detection overlaps the true place of the object with IoU 0.5 or more."""
    from pipeline.evaluate.metrics.iou import box_iou

    if suspect["file"] != row["file"]:
        return False
    one, other = (np.array([box], np.float64) for box in (suspect["found"]["box"], row["box"]))
    return bool(box_iou(one, other)[0, 0] >= 0.5)


def _objects() -> int:
    found = json.loads((FOLDER / "data/prepared/statistics.json").read_text("utf-8"))
    return sum(int(split["objects"]) for split in found.values())


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--source", type=Path, help="a folder; drawn steel by default")
    parser.add_argument("--format", default="auto", help="of the source")
    parser.add_argument("--share", type=float, default=0.15, help="share of the objects with errors")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=50, help="number of suspects to check")
    return parser.parse_args()


def _compose(asked: argparse.Namespace) -> None:
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    overrides = [
        f"seed={asked.seed}",
        f"finetune.epochs={EPOCHS}",
        f"finetune.batch={BATCH}",
        f"finetune.imgsz={320 if asked.source else 256}",
        "augment=none",
        f"evaluate.suspects={asked.first}",
        "tracking.uri=sqlite:///.finetrack/suspects/mlflow.db",
    ]
    if asked.source:
        overrides += ["data=auto", f"data.format={asked.format}", f"data.source={asked.source.resolve()}"]
    with initialize_config_dir(str(ROOT / "conf"), version_base=None):
        composed = OmegaConf.to_yaml(compose("config", overrides), resolve=True)
    (FOLDER / "params.yaml").write_text(composed, "utf-8")


def _stage(stage: str) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "DVC_ROOT": str(ROOT)}
    subprocess.run([sys.executable, "-m", "pipeline", stage], cwd=FOLDER, env=environment, check=True)


if __name__ == "__main__":
    main()
