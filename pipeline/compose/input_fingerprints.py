"""What goes into the pipeline from outside: source images and base weights, by fingerprint.

An input that is absent, as for a colleague who only pulled the results, keeps the fingerprint on record.
Standard library only, as all that a `dvc repro` with nothing to do passes through.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.core.errors import UserError
from pipeline.core.model_names import SUFFIXES, of_task
from pipeline.storage import base_weights, files
from pipeline.storage.files import SCRATCH, project_root
from pipeline.storage.fingerprint import of_file, of_source

DRAWN = {"demo", "shapes"}
OUTS = ("data/prepared", "data/augmented", "models/finetuned", "reports")
OURS = (*OUTS, SCRATCH, ".dvc")


class InputFingerprint(NamedTuple):
    """An input: what the configuration calls it, its fingerprint (None: absent), what stands in for it."""

    name: str
    fingerprint: str | None
    otherwise: str | None = None


def describe(values: Mapping[str, Any], lock: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Take the fingerprints that `prepare` and `finetune` depend on.

    Args:
        values: The whole configuration.
        lock: The last compose.lock.json, whose fingerprint stands where an input is absent.

    Returns:
        The entries of compose.lock.json, and what a user should know about them.

    Raises:
        Refused: An input is absent, and no fingerprint of it is on record.
    """
    model, finetune = values["model"], values["finetune"]
    facts = {
        "source": _source(values["data"]),
        "weights": _weights(model, finetune, values["data"].get("task", "auto")),
        "teacher": _teacher(finetune["distill_model"], model["folder"]),
        "architecture": _architecture(model["architecture"]),
    }
    entries: dict[str, Any] = {
        key: fact.fingerprint or _recorded(key, fact, lock) for key, fact in facts.items()
    }
    absent = [
        fact for key, fact in facts.items() if fact.fingerprint is None and entries[key] != fact.otherwise
    ]
    notes = [f"{fact.name} is not on this machine: its recorded fingerprint stands" for fact in absent]
    entries["siblings"] = _siblings(values, lock)
    return {**entries, "of": {key: fact.name for key, fact in facts.items()}}, notes


def _recorded(key: str, fact: InputFingerprint, lock: Mapping[str, Any]) -> str:
    recorded = lock.get(key) if lock.get("of", {}).get(key) == fact.name else None
    if recorded or fact.otherwise:
        return str(recorded or fact.otherwise)
    raise UserError(
        f"{fact.name} does not exist (a relative path starts at the project's folder): "
        "give the right path where this one was given, in conf/ or with -S"
    )


def _source(data: Mapping[str, Any]) -> InputFingerprint:
    if data["format"] in DRAWN:
        return InputFingerprint(f"data.format={data['format']}", "drawn")
    name = f"data.source={data['source']}"
    place = project_root() / Path(data["source"]).expanduser()
    _refuse_our_own(name, place.resolve())
    if not place.exists() or (place.is_dir() and not any(place.iterdir())):
        return InputFingerprint(name, None)  # an empty folder is a disk that is not mounted
    of = of_source if place.is_dir() else of_file  # an archive
    return InputFingerprint(name, of(place, cache=files.scratch() / "hashes.db"))


def _weights(model: Mapping[str, Any], finetune: Mapping[str, Any], task: Any) -> InputFingerprint:
    """Weights to be downloaded go by their name: once here, they are the same, and nothing reruns.

    Ultralytics' names follow the task; where `prepare` has yet to find it, the one for detect stands in.
    """
    if finetune["strategy"] == "scratch":
        return InputFingerprint("finetune.strategy=scratch", "random")
    weights = model["weights"] if task == "auto" else of_task(model["weights"], task)
    name = f"model.weights={weights}"
    fact = _file(name, weights, model["folder"])
    if weights != model["weights"]:
        return fact  # model.sha256 is that of another file
    if fact.fingerprint is None:
        return fact._replace(fingerprint=model["sha256"])
    if model["sha256"] not in {None, fact.fingerprint}:
        raise UserError(
            f"{name} has SHA-256 {fact.fingerprint}, not model.sha256={model['sha256']}: "
            "another file, or a damaged one"
        )
    return fact


def _siblings(values: Mapping[str, Any], lock: Mapping[str, Any]) -> dict[str, str]:
    """Take the fingerprints of the weights that the other tasks would use, while the task is not known.

    `finetune` names them as `prepare` finds the task, in the same `dvc repro`. Those that are not here, as
    before their download, do not count; those that were keep what is on record.
    """
    model, weights = values["model"], values["model"]["weights"]
    if values["data"].get("task", "auto") != "auto" or values["finetune"]["strategy"] == "scratch":
        return {}
    found: dict[str, str] = {}
    for name in sorted({of_task(weights, task) for task in SUFFIXES} - {weights}):
        fingerprint = _file(f"model.weights={name}", name, model["folder"]).fingerprint
        recorded = fingerprint or lock.get("siblings", {}).get(name)
        found |= {name: recorded} if recorded else {}
    return found


def _teacher(distill_model: str | None, folder: str | None) -> InputFingerprint:
    if distill_model is None:
        return InputFingerprint("finetune.distill_model=null", "none")
    return _file(f"finetune.distill_model={distill_model}", distill_model, folder)


def _architecture(architecture: str) -> InputFingerprint:
    """A name that is no file is that of one of Ultralytics' own, which come with its version."""
    return _file(f"model.architecture={architecture}", architecture, None)


def _file(name: str, value: str, folder: str | None) -> InputFingerprint:
    place = base_weights.locate(value, folder)
    for path in [place] if place else base_weights.candidates(value, folder):
        _refuse_outs(name, path)
    if place is None:
        return InputFingerprint(name, None, otherwise=value if Path(value).name == value else None)
    return InputFingerprint(name, of_file(place, cache=files.scratch() / "hashes.db"))


def _refuse_outs(name: str, place: Path) -> None:
    """Refuse a file in a folder that DVC deletes before the stage that reads the file; it may be a link."""
    folder = place.parent.resolve()
    for out in OUTS:
        if folder.is_relative_to((project_root() / out).resolve()):
            raise UserError(
                f"{name} lies in {out}, which the next run replaces: copy it to a folder of its own first, "
                "and name that copy"
            )


def _refuse_our_own(name: str, place: Path) -> None:
    root = project_root()
    mine = [root / part for part in OURS]
    if root.is_relative_to(place) or any(place.is_relative_to(part) for part in mine):
        raise UserError(
            f"{name} overlaps with what this project writes: keep source images in a folder of their own"
        )
