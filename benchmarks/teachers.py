"""Measure what a model's own predictions are worth as a teacher: self-distillation, and pseudo-labels.

    python benchmarks/teachers.py --bccd DIR --rbc-coco DIR --windturbine DIR --deeppcb DIR --feralcat DIR
        --weights DIR [--sets deeppcb,feralcat] [--bases yolov8n] [--seeds 1] [--pixels 256] [--epochs 20]

`self-distilled` starts as `default` does, with the best weights of `default` as
`finetune.distill_model`; `self-distilled-features` learns all its feature maps. `quarter` has a quarter
of the train images; its model labels the others, and `quarter-pseudo` trains on both. Trainings of
fewer images have as many more epochs, so all have about the same number of steps. Scores are added to
benchmarks/recipes.csv, where `default` is the reference.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Final, NamedTuple

import cells
import recipes
import seconds
from cells import Cell, Terms
from recipes import DEFAULT, Training

from pipeline.dataset.prepared import read_manifest

STUDENTS: Final = {
    "self-distilled": "finetune.distill_model={best}",
    "self-distilled-features": "finetune.distill_model={best} finetune.distill_features=true",
}
"""What each changes; {best} is the best weights of `default`."""
QUARTER: Final = "quarter"
PSEUDO: Final = "quarter-pseudo"
SHARE: Final = 0.25
FIXED: Final = ("finetune.patience=0", "finetune.threads=1")
"""As in the sweeps of benchmarks/recipes.py."""


class Work(NamedTuple):
    """One data set, base and seed.

    Attributes:
        asked: The arguments of the command.
        data: The data set.
        base: The base weights.
        seed: Of its trainings.
    """

    asked: argparse.Namespace
    data: str
    base: str
    seed: int

    @property
    def cell(self) -> Cell:
        """Its trainings, which are in a folder each by their recipe."""
        return Cell(self.data, self.base, "full", self.seed)


def main() -> None:
    """Train what has no score, and print the table of all recipes."""
    asked = _parse_arguments()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sets = (
        asked.sets.split(",")
        if asked.sets
        else [name for name in cells.sources(asked) if name not in cells.MASKS]
    )
    work = [
        Work(asked, data, base, seed)
        for seed, data, base in product(range(asked.seeds), sets, asked.bases.split(","))
    ]
    with ThreadPoolExecutor(asked.jobs) as pool:
        for each in pool.map(train_all, work):
            print(f"{each.data}, {each.base}, seed {each.seed}: done", flush=True)
    budget = recipes.name_budget(asked)
    print(recipes.render(recipes.read_scores(asked.scores), pixels=asked.pixels, budget=budget))


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    recipes.take_common_arguments(parser)
    asked = parser.parse_args()
    asked.minutes = None
    return asked


def train_all(work: Work) -> Work:
    """Train the reference, then what learns from it."""
    done = recipes.read_scores(work.asked.scores)
    if all(_describe(work, name) in done for name in (*STUDENTS, QUARTER, PSEUDO)):
        return work
    default = train(work, DEFAULT, "")
    for name, changes in STUDENTS.items():
        train(work, name, changes.format(best=default / "models/finetuned/best.pt"))
    epochs = f"finetune.epochs={round(work.asked.epochs / SHARE)}"
    quarter = train(work, QUARTER, f"data.fraction={SHARE} {epochs}")
    if labels := label_rest(default, quarter):
        whole, images = (
            len(read_manifest(folder / "data/prepared").in_split("train")) for folder in (default, quarter)
        )
        most = images + len(list((labels / "labels").iterdir()))
        changes = f"data.fraction={SHARE} data.unlabelled_source={labels} data.unlabelled_share=3.0"
        train(work, PSEUDO, f"{changes} finetune.epochs={round(work.asked.epochs * whole / most)}")
    return work


def train(work: Work, name: str, changes: str) -> Path:
    """Train, record the score, and return the folder."""
    terms = _build_terms(work, name, changes)
    folder = terms.cells / work.cell.name
    if not (folder / "reports/evaluation").exists():
        cells.begin(work.cell, terms)
        spent = [cells.stage(folder, stage) for stage in ("prepare", "augment", "finetune", "evaluate")][2]
        training = _describe(work, name)
        if training not in recipes.read_scores(work.asked.scores):
            recipes.record_score(
                work.asked.scores, training, seconds.read_training(folder).best, spent["wall"]
            )
    return folder


def _build_terms(work: Work, name: str, changes: str) -> Terms:
    terms = recipes.build_terms(work.asked)
    place = work.asked.folder.resolve() / "teachers" / f"{terms.imgsz}-{terms.epochs}" / name
    return terms._replace(cells=place, changes=(*FIXED, *changes.split()))


def _describe(work: Work, name: str) -> Training:
    """Return the line of a training in the table; what it changes is said by its recipe."""
    told = "" if name == DEFAULT else "benchmarks/teachers.py"
    terms = (work.seed, work.asked.pixels, recipes.name_budget(work.asked))
    return Training(work.data, work.base, name, told, *terms)


def label_rest(whole: Path, part: Path) -> Path | None:
    """Label the train images that a part leaves out by its model; return their folder, None if refused."""
    images, labels = part / "unlabelled", part / "pseudo_labels"
    if not labels.exists():
        known = {item.sha256 for item in read_manifest(part / "data/prepared").in_split("train")}
        shutil.rmtree(images, ignore_errors=True)
        images.mkdir()
        for item in read_manifest(whole / "data/prepared").in_split("train"):
            if item.sha256 not in known:
                source = whole / "data/prepared/images" / item.file
                os.link(source.resolve(), images / source.name)
        command = [sys.executable, "-m", "pipeline", "pseudo-label", images, "--model", "workspace"]
        try:
            cells.timed(part, [*command, "--output", labels], log="pseudo-label")
        except SystemExit as refused:
            print(f"{refused}:\n{(part / 'pseudo-label.log').read_text('utf-8')}", flush=True)
            return None
    return labels


if __name__ == "__main__":
    main()
