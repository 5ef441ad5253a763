"""Search training recipes on real data sets with the project's own sweep: which have the best val mAP?

    python benchmarks/recipes.py --bccd DIR --rbc-coco DIR --windturbine DIR --deeppcb DIR --feralcat DIR
        --weights DIR [--sets deeppcb,feralcat] [--bases yolov8n,yolo11n] [--recipes default,lr-0.001]
        [--seeds 1] [--pixels 256] [--epochs 20 | --minutes 2] [--jobs 2] [--folder .finetrack/recipes]
        [--scores benchmarks/recipes.csv]

A recipe is a line of benchmarks/recipes.yaml: a name, and what it changes (of conf/; of the arguments of
`yolo train` if its name begins with yolo-train). Every data set has a clone of this
project, in which a recipe is an experiment file; a sweep trains those that have no score yet. The scores of
the search are in the repository, with the commit that each was trained at: after a change of the defaults,
delete the lines that it makes untrue, or name another file. Recipes are compared with `default` by val
mAP50-95 of the best epoch, paired by set, base and seed. `yolo-train` is plain Ultralytics on the same
images. Test decides nothing here: benchmarks/results.py measures what was chosen.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from statistics import mean, stdev
from typing import Final, NamedTuple

import cells
import seconds
from cells import PLAIN, ROOT, Cell, Terms
from killed_sweep import build_environment, create_project
from omegaconf import OmegaConf

RECIPES: Final = Path(__file__).with_name("recipes.yaml")
SCORES: Final = Path(__file__).with_name("recipes.csv")
DEFAULT: Final = "default"
STOCK: Final = "yolo-train"


class Training(NamedTuple):
    """One training.

    Attributes:
        data: The data set.
        base: The base weights.
        recipe: Its name in recipes.yaml, or `yolo-train`.
        changes: What the recipe changes.
        seed: Of the training.
        pixels: Size that images are scaled to.
        budget: Epochs or minutes, such as `20 epochs`.
    """

    data: str
    base: str
    recipe: str
    changes: str
    seed: int
    pixels: int
    budget: str


class Score(NamedTuple):
    """The result of a training.

    Attributes:
        val: mAP50-95 of the best epoch on val, of masks where the set has them.
        seconds: Of the training; several ran at once, so they do not compare.
        commit: The first characters of the project's commit.
    """

    val: float
    seconds: float
    commit: str


Scores = dict[Training, Score]


def main() -> None:
    """Train what has no result, and print a table."""
    asked = _parse_arguments()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    asked.folder.mkdir(parents=True, exist_ok=True)
    boxes = [name for name in cells.sources(asked) if name not in cells.MASKS]
    sets = asked.sets.split(",") if asked.sets else boxes
    stock: list[Training] = []
    for seed, data, base in product(range(asked.seeds), sets, asked.bases.split(",")):
        missing = list_trainings(asked, data, base, seed)
        if ours := [training for training in missing if not is_stock(training.recipe)]:
            run_sweep(asked, ours)
        stock += [training for training in missing if is_stock(training.recipe)]
    train_stock(asked, stock)
    scores = {key: score for key, score in read_scores(asked.scores).items() if key.seed < asked.seeds}
    print(render(scores, pixels=asked.pixels, budget=name_budget(asked)))


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    take_common_arguments(parser)
    parser.add_argument("--recipes", default=",".join([STOCK, *map(str, OmegaConf.load(RECIPES))]))
    parser.add_argument("--minutes", type=float, help="of each training, instead of epochs")
    return parser.parse_args()


def take_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say which trainings there are, and where they are."""
    cells.take_sources(parser)
    parser.add_argument("--sets", help="some of the data sets; without it all, as boxes")
    parser.add_argument("--bases", default="yolov8n", help="yolov8n, yolo11n, foundation")
    parser.add_argument("--seeds", type=int, default=1, help="trainings of each recipe: seeds 0, 1, ...")
    parser.add_argument("--pixels", type=int, default=256)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=2, help="trainings at a time")
    parser.add_argument("--folder", type=Path, default=ROOT / ".finetrack/recipes")
    parser.add_argument("--scores", type=Path, default=SCORES, help="where the scores are kept")


def parse_common_arguments(description: str | None) -> argparse.Namespace:
    """Parse the arguments of a benchmark whose trainings are counted in epochs."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawTextHelpFormatter)
    take_common_arguments(parser)
    asked = parser.parse_args()
    asked.minutes = None
    return asked


def name_budget(asked: argparse.Namespace) -> str:
    """Return how long each training is, such as `20 epochs` or `2 minutes`."""
    return f"{asked.minutes:g} minutes" if asked.minutes else f"{asked.epochs} epochs"


def list_trainings(asked: argparse.Namespace, data: str, base: str, seed: int) -> list[Training]:
    """List the trainings of a data set, base and seed that have no score yet."""
    done, changes = read_scores(asked.scores), read_recipes()
    terms = (seed, asked.pixels, name_budget(asked))
    wanted = (Training(data, base, name, changes[name], *terms) for name in asked.recipes.split(","))
    return [training for training in wanted if training not in done]


def is_stock(recipe: str) -> bool:
    """Tell whether a recipe is plain `yolo train`, whose changes are Ultralytics' own arguments."""
    return recipe.startswith(STOCK)


def read_recipes() -> dict[str, str]:
    """Return what each recipe changes, by its name."""
    return {STOCK: "", **{str(name): text or "" for name, text in OmegaConf.load(RECIPES).items()}}


def open_clone(asked: argparse.Namespace, data: str) -> Path:
    """Return the clone of a data set, at the commit of this project, with an experiment file per recipe."""
    clone = asked.folder.resolve() / data
    if not clone.exists():
        create_project(clone)
    run_git(clone, "fetch", "-q", str(ROOT), "HEAD")
    run_git(clone, "checkout", "-qf", "FETCH_HEAD")
    own = {name: changes for name, changes in read_recipes().items() if not is_stock(name)}
    for name, changes in own.items():
        text = build_experiment([f"finetune.epochs={asked.epochs}", *shlex.split(changes)])
        (clone / f"conf/experiment/{name}.yaml").write_text(text, "utf-8")
    run_git(clone, "add", "conf/experiment")
    identity = ("-c", "user.name=recipes", "-c", "user.email=recipes@example.org")
    run_git(clone, *identity, "commit", "-qm", "Recipes")
    return clone


def run_git(folder: Path, *words: str) -> None:
    """Run git in a folder."""
    subprocess.run(["git", *words], cwd=folder, check=True)


def build_experiment(changes: Sequence[str]) -> str:
    """Return the text of an experiment file: changed groups, then changed keys.

    Without offline copies an epoch has as many images as one of `yolo train`.
    """
    pairs = [change.split("=", 1) for change in ("augment=none", *changes)]
    groups = [{f"override /{key}": value} for key, value in dict(pairs).items() if "." not in key]
    keys = OmegaConf.from_dotlist([f"{key}={value}" for key, value in pairs if "." in key])
    defaults = OmegaConf.create({"defaults": [*groups, "_self_"]})
    return f"# @package _global_\n{OmegaConf.to_yaml(defaults)}{OmegaConf.to_yaml(keys) if keys else ''}"


def build_terms(asked: argparse.Namespace) -> Terms:
    """Return the settings of all trainings."""
    place = asked.folder.resolve() / f"stock-{asked.pixels}-{name_budget(asked).replace(' ', '-')}"
    limit = (f"time={asked.minutes / 60:.6f}",) if asked.minutes else ()
    given = (place, cells.sources(asked), asked.weights)
    return Terms(*given, epochs=asked.epochs, imgsz=asked.pixels, plain=limit)


def run_sweep(asked: argparse.Namespace, trainings: Sequence[Training]) -> None:
    """Sweep over recipes of one data set, base and seed, and record the score of each that has one."""
    first = trainings[0]
    names = [training.recipe for training in trainings]
    cell = Cell(first.data, first.base, "full", first.seed)
    words = [f"+experiment={','.join(names)}", *cells.select_data(cell, build_terms(asked))]
    words += ["finetune.patience=0", "finetune.threads=1"]
    words += [f"finetune.time={asked.minutes / 60:.6f}"] if asked.minutes else []
    words += [f"seed={first.seed}", f"sweep.jobs={asked.jobs}", "sweep.sampler=grid", "sweep.output=json"]
    name = hashlib.sha256(shlex.join(words).encode()).hexdigest()[:8]  # each seed has a sweep of its own
    words += [f"sweep.name=recipes-{name}"]
    print(f"$ finetrack sweep {shlex.join(words)}", flush=True)
    clone = open_clone(asked, first.data)
    command = [sys.executable, "-m", "pipeline.sweep", "-m", *words]
    done = subprocess.run(
        command, cwd=clone, env=build_environment(clone), stdout=subprocess.PIPE, text=True, check=False
    )
    if not done.stdout.startswith("{"):
        sys.exit("recipes: the sweep has no results; its own message is above")
    for job in json.loads(done.stdout)["jobs"]:
        if job["status"] in {"trained", "restored"}:
            training = trainings[names.index(find_recipe(job["overrides"]))]
            record_score(asked.scores, training, job["score"], job["seconds"])


def find_recipe(overrides: str) -> str:
    """Return the recipe that a job's overrides name."""
    return next(word.split("=")[1] for word in overrides.split() if word.startswith("+experiment="))


def train_stock(asked: argparse.Namespace, trainings: Sequence[Training]) -> None:
    """Train with plain `yolo train` on the images that the pipeline prepares."""
    with ThreadPoolExecutor(asked.jobs) as pool:
        for training, found in zip(
            trainings, pool.map(lambda one: _train_stock(asked, one), trainings), strict=True
        ):
            record_score(asked.scores, training, *found)


def _train_stock(asked: argparse.Namespace, training: Training) -> tuple[float, float]:
    terms = build_terms(asked)
    terms = terms._replace(
        cells=terms.cells / training.recipe, plain=(*terms.plain, *training.changes.split())
    )
    cell = Cell(training.data, training.base, PLAIN, training.seed)
    folder = cells.begin(cell, terms)
    cells.stage(folder, "prepare")
    spent = cells.yolo_train(folder, cell, terms)
    return seconds.read_curve(folder / "yolo/run/results.csv").best, spent["wall"]


def record_score(path: Path, training: Training, val: float, spent: float) -> None:
    """Add a finished training to the table, with its seconds."""
    commit = cells.read_commit()
    is_new = not path.exists()
    with path.open("a", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if is_new:
            writer.writerow([*Training._fields, *Score._fields])
        writer.writerow([*training, f"{val:.4f}", f"{spent:.0f}", commit])


def read_scores(path: Path) -> Scores:
    """Read all finished trainings."""
    if not path.exists():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        return {_read_training(row): _read_score(row) for row in csv.DictReader(file)}


def _read_training(row: dict[str, str]) -> Training:
    own = {name: row[name] for name in Training._fields}
    return Training(**{**own, "seed": int(row["seed"]), "pixels": int(row["pixels"])})


def _read_score(row: dict[str, str]) -> Score:
    return Score(float(row["val"]), float(row["seconds"]), row["commit"])


def render(scores: Scores, *, pixels: int, budget: str) -> str:
    """Render a table for each base: recipes, their val mAP by set, and the mean difference from `default`."""
    recipes = read_recipes()  # those of teachers.py are not among them
    chosen = {
        key: value
        for key, value in scores.items()
        if (key.pixels, key.budget) == (pixels, budget)
        and recipes.get(key.recipe, key.changes) == key.changes
    }
    return "\n\n".join(_render_base(base, chosen) for base in dict.fromkeys(key.base for key in chosen))


def _render_base(base: str, scores: Scores) -> str:
    found = {key: score.val for key, score in scores.items() if key.base == base}
    sets = list(dict.fromkeys(key.data for key in found))
    lines = [f"| from {base} | {' | '.join(sets)} | trainings | beside default | standard error |"]
    lines += ["|---" * (len(sets) + 4) + "|"]
    for recipe in dict.fromkeys(key.recipe for key in found):
        own = {key: value for key, value in found.items() if key.recipe == recipe}
        pairs = {key: found.get(key._replace(recipe=DEFAULT, changes="")) for key in own}
        gains: dict[str, list[float]] = {}
        for key, reference in pairs.items():
            if reference is not None:
                gains.setdefault(key.data, []).append(own[key] - reference)
        means = [*map(mean, gains.values())]  # trainings on one set are not independent
        shown = [_format_mean([value for key, value in own.items() if key.data == data]) for data in sets]
        error = f"{stdev(means) / len(means) ** 0.5:.3f}" if len(means) > 1 else ""
        gain = f"{mean(means):+.3f}" if means else ""
        lines.append(f"| {recipe} | {' | '.join(shown)} | {len(own)} | {gain} | {error} |")
    return "\n".join(lines)


def _format_mean(values: Sequence[float]) -> str:
    return f"{mean(values):.3f}" if values else ""


if __name__ == "__main__":
    main()
