"""Keep the results of benchmarks/results.py in a file of the repository: the page outlives the machine.

Each line of benchmarks/results.jsonl is a training, with the figures that the page shows, its curve and the
commit of the project; or the difference of a method from `yolo train`, for which the predictions of all its
trainings must be on the machine. Lines are added at the end; the last line about the same thing counts.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import seconds
from cells import PLAIN, Cell, read_commit
from seconds import Curve

PATH: Final = Path(__file__).with_name("results.jsonl")
FIGURES: Final = ("mAP50-95", "mAP50-95_low", "mAP50-95_high", "mAP50")
"""Those of the test split that are kept: of masks where the set has them, else of boxes."""


class Method(NamedTuple):
    """The trainings that differ in their seed alone: data set, base weights and method."""

    data: str
    base: str
    method: str


class Result(NamedTuple):
    """What is kept of a training.

    Attributes:
        test: FIGURES on the test split, and its number of images (images).
        spent: Wall and CPU seconds of the process that trained (wall, cpu), and cores that other programs
            used meanwhile (others); empty if it was interrupted.
        curve: Val mAP50-95 over the seconds of training.
        machine: Its processor, and how many of its cores the training had.
    """

    test: dict[str, float]
    spent: dict[str, float]
    curve: Curve
    machine: str


class Difference(NamedTuple):
    """Test mAP50-95 of a method less that of `yolo train`, on the same images.

    Attributes:
        value: The difference of the means over the seeds.
        low: Lower bound of its 95% interval.
        high: Its upper bound.
        seeds: Those of the trainings.
    """

    value: float
    low: float
    high: float
    seeds: tuple[int, ...] = ()


class Store:
    """The trainings of one image size and number of epochs, and what they show."""

    def __init__(self, pixels: int, epochs: int, path: Path = PATH) -> None:
        """Read what is kept for these terms. What is added is of the project's commit now."""
        self.commit = read_commit()
        self.terms = {"pixels": pixels, "epochs": epochs}
        self.path = path
        self.results: dict[Cell, Result] = {}
        self.differences: dict[Method, Difference] = {}
        for line in self._read_lines():
            method = Method(line["data"], line["base"], line["method"])
            if "seed" in line:
                result = Result(line["test"], line["spent"], Curve(*line["curve"]), line["machine"])
                self._take_result(Cell(*method, line["seed"]), result)
            else:
                self.differences[method] = Difference(*line["difference"], seeds=tuple(line["seeds"]))

    def _read_lines(self) -> Iterator[dict[str, Any]]:
        lines = self.path.read_text("utf-8").splitlines() if self.path.exists() else []
        for line in map(json.loads, lines):
            if all(line[key] == value for key, value in self.terms.items()):
                yield line

    def add_result(self, cell: Cell, result: Result) -> None:
        """Keep a finished training."""
        self._take_result(cell, result)
        values = {"seed": cell.seed, **result._asdict(), "commit": self.commit}
        self._add(Method(cell.data, cell.base, cell.method), values)

    def _take_result(self, cell: Cell, result: Result) -> None:
        """Take a training; differences of other trainings of its kind no longer hold."""
        self.results[cell] = result
        for method in [*self.differences]:
            if method[:2] == (cell.data, cell.base) and cell.method in {PLAIN, method.method}:
                del self.differences[method]

    def add_difference(self, method: Method, found: Difference) -> None:
        """Keep a difference, if it is new."""
        if self.differences.get(method) != found:
            self.differences[method] = found
            self._add(method, {"seeds": found.seeds, "difference": found[:3]})

    def _add(self, method: Method, values: Mapping[str, object]) -> None:
        line = json.dumps({**self.terms, **method._asdict(), **values})
        with self.path.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")


def list_terms(path: Path = PATH) -> list[tuple[int, int]]:
    """Return the image sizes in pixels and numbers of epochs of which there are results, in order."""
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    return sorted({(line["pixels"], line["epochs"]) for line in map(json.loads, lines)})


def read_result(folder: Path, spent: Mapping[str, float], test: Mapping[str, float]) -> Result:
    """Return what is kept of a training, from the folder that it ran in."""
    prefix = "mask/" if "mask/mAP50-95" in test else ""
    curve = seconds.read_training(folder)
    return Result(
        {**{name: round(test[prefix + name], 4) for name in FIGURES}, "images": test["images"]},
        {name: round(spent[name], 1) for name in ("wall", "cpu", "others") if name in spent},
        Curve([round(each, 1) for each in curve.seconds], [round(each, 4) for each in curve.accuracy]),
        describe_machine(),
    )


def describe_machine() -> str:
    """Return the processor, and how many of its cores this thread has."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    processor = next(named, platform.processor() or platform.machine())
    return f"{processor}, {len(os.sched_getaffinity(0))} of {os.cpu_count()} cores"
