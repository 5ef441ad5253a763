"""Measure what a model's own predictions are worth as a teacher: self-distillation, and pseudo-labels.

    python benchmarks/teachers.py --bccd DIR --rbc-coco DIR --windturbine DIR --deeppcb DIR --feralcat DIR
        --weights DIR [--sets deeppcb,feralcat] [--bases yolov8n] [--seeds 1] [--pixels 256] [--epochs 20]

`teacher` is `default` again. `self-distilled` starts as it does, with its best weights as
`finetune.distill_model`; `self-distilled-features` learns their feature maps, too. Both cost a second
training, so they compete with a training of twice the epochs, not with `default`. `quarter` has a
quarter of the train images; its model labels the others, and `quarter-pseudo` trains on both; where the
command refuses the model, there is none. Trainings of fewer images have as many more epochs, in whatever
counts epochs, so all have about as many steps. Scores are added to benchmarks/recipes.csv.
"""

from __future__ import annotations

import argparse
import hashlib
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
from cells import Cell
from recipes import Training

from pipeline.dataset.manifest import ImageRecord, Manifest
from pipeline.dataset.prepared import read_manifest

TEACHER: Final = "teacher"
STUDENTS: Final = {
    "self-distilled": "finetune.distill_model={best}",
    "self-distilled-features": "finetune.distill_model={best} finetune.distill_features=true",
}
"""What each changes; {best} is the best weights of the teacher."""
QUARTER: Final = "quarter"
PSEUDO: Final = "quarter-pseudo"
SHARE: Final = 0.25
FIXED: Final = ("finetune.patience=0", "finetune.threads=1")
"""As in the sweeps of benchmarks/recipes.py."""
LABEL: Final = """
import sys
from pathlib import Path
from pipeline.compose.stage import load_config
from pipeline.predict.pseudo_labels.run import PseudoLabelRequest, run_pseudo_labelling
from pipeline.predict.pseudo_labels.thresholds import PseudoLabelRule

request = PseudoLabelRequest([Path("unlabelled")], Path("pseudo_labels"), "workspace", PseudoLabelRule())
for line in run_pseudo_labelling(request, load_config()):
    print(line)
"""
"""What `finetrack pseudo-label unlabelled --model workspace` does, by the configuration of the folder."""


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
    asked = recipes.parse_common_arguments(__doc__)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    boxes = [name for name in cells.sources(asked) if name not in cells.MASKS]
    sets = asked.sets.split(",") if asked.sets else boxes
    work = [Work(asked, *each) for each in product(sets, asked.bases.split(","), range(asked.seeds))]
    with ThreadPoolExecutor(asked.jobs) as pool:
        for each in pool.map(_train_or_tell, work):
            print(f"{each.data}, {each.base}, seed {each.seed}: done", flush=True)
    budget = recipes.name_budget(asked)
    scores = recipes.read_scores(asked.scores)
    chosen = {key: score for key, score in scores.items() if key.seed < asked.seeds}
    print(recipes.render(chosen, pixels=asked.pixels, budget=budget))


def _train_or_tell(work: Work) -> Work:
    try:
        train_all(work)
    except SystemExit as error:
        print(error, flush=True)
    return work


def train_all(work: Work) -> None:
    """Train the teacher, then what learns from it."""
    teacher = train(work, TEACHER, "")
    for name, changes in STUDENTS.items():
        train(work, name, changes.format(best=teacher / "models/finetuned/best.pt"))
    source = create_quarter(work, teacher)
    own = f"data=yolo data.source={source} data.keep_split=true"
    quarter = train(work, QUARTER, f"{own} {lengthen(work, 1 / SHARE)}")
    if labels := label_rest(teacher, quarter):
        images = {folder: count_train_images(folder) for folder in (teacher, quarter)}
        both = images[quarter] + len([*(labels / "labels").iterdir()])
        own = f"{own} data.unlabelled_source={labels} data.unlabelled_share=3.0"
        train(work, PSEUDO, f"{own} {lengthen(work, images[teacher] / both)}")


def lengthen(work: Work, times: float) -> str:
    """Return the overrides of so many times the epochs, and of what is counted in epochs."""
    epochs = {"finetune.epochs": work.asked.epochs, "augment.online.close_mosaic": 10}
    longer = [f"{key}={round(times * value)}" for key, value in epochs.items()]
    return " ".join(
        [*longer, f"finetune.warmup_epochs={times:g}", f"finetune.val_every={max(1, round(times))}"]
    )


def train(work: Work, name: str, changes: str) -> Path:
    """Train, record the score, and return the folder. What is there already is not trained again."""
    terms = recipes.build_terms(work.asked)
    place = work.asked.folder.resolve() / "teachers" / f"{terms.imgsz}-{terms.epochs}" / name
    folder = place / work.cell.name
    if not (folder / "reports/evaluation").exists():
        cells.begin(work.cell, terms._replace(cells=place, changes=(*FIXED, *changes.split())))
        for stage in ("prepare", "augment", "finetune", "evaluate"):
            cells.stage(folder, stage)
    told = (work.seed, work.asked.pixels, recipes.name_budget(work.asked))
    training = Training(work.data, work.base, name, "benchmarks/teachers.py", *told)
    if training not in recipes.read_scores(work.asked.scores):
        curve = seconds.read_training(folder)
        recipes.record_score(work.asked.scores, training, curve.best, curve.seconds[-1])
    return folder


def create_quarter(work: Work, teacher: Path) -> Path:
    """Write a dataset with a part of the teacher's train images, and with its val and test images."""
    target = teacher / "quarter"
    if not (target / "data.yaml").exists():
        manifest = read_manifest(teacher / "data/prepared")
        rest = (*manifest.in_split("val"), *manifest.in_split("test"))
        cells.copy_dataset(
            teacher / "data/prepared", [*_draw_quarter(manifest, seed=work.seed), *rest], target
        )
    return target


def _draw_quarter(manifest: Manifest, *, seed: int) -> list[ImageRecord]:
    """Draw a part of the train images by hash and seed."""
    train = sorted(
        manifest.in_split("train"), key=lambda item: hashlib.sha256(f"{seed} {item.sha256}".encode()).digest()
    )
    return train[: round(SHARE * len(train))]


def count_train_images(folder: Path) -> int:
    """Return the number of train images that a training had."""
    return len(read_manifest(folder / "data/prepared").in_split("train"))


def label_rest(teacher: Path, quarter: Path) -> Path | None:
    """Label the train images that the quarter lacks by its model; return their folder, None if refused."""
    images, labels = quarter / "unlabelled", quarter / "pseudo_labels"
    if not labels.exists():
        known = {item.sha256 for item in read_manifest(quarter / "data/prepared").in_split("train")}
        shutil.rmtree(images, ignore_errors=True)
        images.mkdir()
        for item in read_manifest(teacher / "data/prepared").in_split("train"):
            if item.sha256 not in known:
                source = teacher / "data/prepared/images" / item.file
                shutil.copyfile(source, images / source.name)
        try:
            cells.timed(quarter, [sys.executable, "-c", LABEL], log="pseudo-label")
        except SystemExit as refused:
            last = (quarter / "pseudo-label.log").read_text("utf-8").strip().splitlines()[-1]
            print(f"{refused}: {last}", flush=True)
            return None
    return labels


if __name__ == "__main__":
    main()
