"""Take the fingerprints of the inputs from outside: source images and base weights.

An absent input keeps its recorded fingerprint: a colleague may have pulled the results without the images.
Standard library only, since every `dvc repro` runs this.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.config.source_paths import describe_source, resolve_sources
from pipeline.core.errors import UserError
from pipeline.core.model_names import TASK_SUFFIXES, model_name_for_task
from pipeline.storage.base_weights import find_base_weights, iterate_candidate_paths
from pipeline.storage.fingerprint import fingerprint_file, fingerprint_source
from pipeline.storage.scratch_folder import SCRATCH_FOLDER, create_scratch_folder, project_root

DRAWN_FORMATS = {"demo", "shapes"}
STAGE_OUTPUTS = ("data/prepared", "data/augmented", "models/finetuned", "reports")
PROJECT_FOLDERS = (*STAGE_OUTPUTS, SCRATCH_FOLDER, ".dvc")


class InputFingerprint(NamedTuple):
    """An input.

    Attributes:
        name: Its name in the configuration.
        fingerprint: None if it is absent.
        otherwise: What stands for the fingerprint of an absent input.
        absent: The part of it that is absent, where it has parts.
    """

    name: str
    fingerprint: str | None
    otherwise: str | None = None
    absent: str = ""


def fingerprint_inputs(
    values: Mapping[str, Any], lock: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """Take the fingerprints that `prepare` and `finetune` depend on.

    Args:
        values: The whole configuration.
        lock: The last compose.lock.json; its fingerprint is used where an input is absent.

    Returns:
        The entries of compose.lock.json, and notes for the user.

    Raises:
        UserError: An input is absent, and no fingerprint of it is recorded.
    """
    model, finetune = values["model"], values["finetune"]
    inputs = {
        "source": _fingerprint_source_images(values["data"]),
        "weights": _fingerprint_weights(model, finetune, values["data"].get("task", "auto")),
        "teacher": _fingerprint_teacher(finetune["distill_model"], model["folder"]),
        "architecture": _fingerprint_architecture(model["architecture"]),
    }
    entries: dict[str, Any] = {
        key: item.fingerprint or _read_recorded(key, item, lock) for key, item in inputs.items()
    }
    absent = [
        item for key, item in inputs.items() if item.fingerprint is None and entries[key] != item.otherwise
    ]
    notes = [f"{item.name} is not on this machine: its recorded fingerprint stands" for item in absent]
    entries["siblings"] = _fingerprint_other_tasks_weights(values, lock)
    return {**entries, "of": {key: item.name for key, item in inputs.items()}}, notes


def _read_recorded(key: str, item: InputFingerprint, lock: Mapping[str, Any]) -> str:
    recorded = lock.get(key) if lock.get("of", {}).get(key) == item.name else None
    if recorded or item.otherwise:
        return str(recorded or item.otherwise)
    raise UserError(
        f"{item.absent or item.name} does not exist (a relative path starts at the project's folder): "
        "give the right path where this one was given, in conf/ or with -S"
    )


def _fingerprint_source_images(data: Mapping[str, Any]) -> InputFingerprint:
    if data["format"] in DRAWN_FORMATS:
        return InputFingerprint(f"data.format={data['format']}", "drawn")
    name = f"data.source={describe_source(data['source'])}"
    paths = resolve_sources(project_root(), data["source"])
    for path in paths.values():
        refuse_project_folders(f"data.source={path}" if len(paths) > 1 else name, path.resolve())
    absent = next((path for path in paths.values() if _is_absent(path)), None)
    if absent:
        return InputFingerprint(name, None, absent=f"data.source={absent}" if len(paths) > 1 else "")
    fingerprints = {inner: _fingerprint_source_path(path) for inner, path in paths.items()}
    if len(fingerprints) == 1:
        return InputFingerprint(name, next(iter(fingerprints.values())))
    joined = json.dumps([*fingerprints.items()])  # in their order, which is that of the classes
    return InputFingerprint(name, hashlib.sha256(joined.encode()).hexdigest())


def _is_absent(path: Path) -> bool:
    """Check whether a source is absent; an empty folder may be a disk that is not mounted."""
    return not path.exists() or (path.is_dir() and not any(path.iterdir()))


def _fingerprint_source_path(path: Path) -> str:
    cache = create_scratch_folder() / "hashes.db"
    if path.is_dir():
        return fingerprint_source(path, cache=cache, map_files=_map_in_threads)
    return fingerprint_file(path, cache=cache)  # an archive


def _map_in_threads(work: Callable[[str], str], paths: list[str]) -> Iterator[str]:
    from pipeline.runtime.progress import Progress  # only where files are new
    from pipeline.runtime.thread_pool import map_in_threads

    return map_in_threads(work, paths, progress=Progress("compose", len(paths), unit="source files read"))


def _fingerprint_weights(
    model: Mapping[str, Any], finetune: Mapping[str, Any], task: Any
) -> InputFingerprint:
    """Fingerprint the base weights. Weights yet to be downloaded are identified by their name.

    Once downloaded they are the same weights, so nothing reruns. Ultralytics' names depend on the task; until
    `prepare` finds the task, the name for detect is used.
    """
    if finetune["strategy"] == "scratch":
        return InputFingerprint("finetune.strategy=scratch", "random")
    weights = model["weights"] if task == "auto" else model_name_for_task(model["weights"], task)
    name = f"model.weights={weights}"
    item = _fingerprint_named_file(name, weights, model["folder"])
    if weights != model["weights"]:
        return item  # model.sha256 belongs to another file
    if item.fingerprint is None:
        return item._replace(fingerprint=model["sha256"])
    if model["sha256"] not in {None, item.fingerprint}:
        raise UserError(
            f"{name} has SHA-256 {item.fingerprint}, not model.sha256={model['sha256']}: "
            "another file, or a damaged one"
        )
    return item


def _fingerprint_other_tasks_weights(values: Mapping[str, Any], lock: Mapping[str, Any]) -> dict[str, str]:
    """Fingerprint the weights that other tasks would use, while the task is not known.

    `finetune` chooses among them when `prepare` has found the task, in the same `dvc repro`. Weights that are
    not downloaded yet are left out; weights that were here before keep their recorded fingerprint.
    """
    model, weights = values["model"], values["model"]["weights"]
    if values["data"].get("task", "auto") != "auto" or values["finetune"]["strategy"] == "scratch":
        return {}
    found: dict[str, str] = {}
    for name in sorted({model_name_for_task(weights, task) for task in TASK_SUFFIXES} - {weights}):
        fingerprint = _fingerprint_named_file(f"model.weights={name}", name, model["folder"]).fingerprint
        recorded = fingerprint or lock.get("siblings", {}).get(name)
        found |= {name: recorded} if recorded else {}
    return found


def _fingerprint_teacher(distill_model: str | None, folder: str | None) -> InputFingerprint:
    if distill_model is None:
        return InputFingerprint("finetune.distill_model=null", "none")
    return _fingerprint_named_file(f"finetune.distill_model={distill_model}", distill_model, folder)


def _fingerprint_architecture(architecture: str) -> InputFingerprint:
    """Fingerprint the architecture. A name without a file is a YAML that Ultralytics ships."""
    return _fingerprint_named_file(f"model.architecture={architecture}", architecture, None)


def _fingerprint_named_file(name: str, value: str, folder: str | None) -> InputFingerprint:
    path = find_base_weights(value, folder)
    for candidate in [path] if path else iterate_candidate_paths(value, folder):
        _refuse_stage_outputs(name, candidate)
    if path is None:
        return InputFingerprint(name, None, otherwise=value if Path(value).name == value else None)
    return InputFingerprint(name, fingerprint_file(path, cache=create_scratch_folder() / "hashes.db"))


def _refuse_stage_outputs(name: str, path: Path) -> None:
    """Refuse a file in a folder that DVC deletes before the stage that reads it; the file may be a link."""
    folder = path.parent.resolve()
    for out in STAGE_OUTPUTS:
        if folder.is_relative_to((project_root() / out).resolve()):
            raise UserError(
                f"{name} is in {out}, which the next run replaces: copy it to a folder of its own, "
                "and give the path of the copy"
            )


def refuse_project_folders(name: str, path: Path) -> None:
    """Refuse a source that overlaps with a folder that the project writes to.

    Args:
        name: The source, as in data.source.
        path: Its resolved path.

    Raises:
        UserError: It overlaps.
    """
    root = project_root()
    folders = [root / part for part in PROJECT_FOLDERS]
    if root.is_relative_to(path) or any(path.is_relative_to(part) for part in folders):
        raise UserError(
            f"{name} overlaps with what this project writes: keep source images in a folder of their own"
        )
