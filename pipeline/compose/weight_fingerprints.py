"""Fingerprint base weights, teacher and architecture by their contents, and official ones by their names.

Standard library only, since every `dvc repro` runs this.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from pipeline.core.errors import UserError
from pipeline.core.model_names import DOWNLOADABLE_WEIGHTS, TASK_SUFFIXES, model_name_for_task
from pipeline.core.paths import expand_home
from pipeline.storage.base_weights import find_base_weights, iterate_candidate_paths
from pipeline.storage.checksums import check_sha256, read_listed_sha256
from pipeline.storage.fingerprint import fingerprint_file
from pipeline.storage.scratch_folder import create_scratch_folder, project_root

STAGE_OUTPUTS: Final = ("data/prepared", "data/augmented", "models/finetuned", "reports")
_SCALE: Final = re.compile(r"(\d+)([nslmx])(.+)?$")
"""The size in the name of a model YAML: Ultralytics ships one file for all sizes of a family."""


class InputFingerprint(NamedTuple):
    """An input.

    Attributes:
        name: Its name in the configuration, which identifies it: recorded fingerprints are kept by it.
        fingerprint: None if it is absent.
        otherwise: What stands for the fingerprint of an absent input: only for what comes with Ultralytics,
            which is the same everywhere.
        absent: The part of it that is absent, where it has parts.
        parts: The fingerprints of the parts that are present.
    """

    name: str
    fingerprint: str | None
    otherwise: str | None = None
    absent: str = ""
    parts: Mapping[str, str] = MappingProxyType({})


def fingerprint_weights(model: Mapping[str, Any], finetune: Mapping[str, Any], task: Any) -> InputFingerprint:
    """Fingerprint the base weights. Weights yet to be downloaded are identified by their name.

    Once downloaded they are the same weights, so nothing reruns. Ultralytics' names depend on the task; until
    `prepare` finds the task, the name for detect is used.
    """
    if finetune["strategy"] == "scratch":
        return InputFingerprint("finetune.strategy=scratch", "random")
    weights = model["weights"] if task == "auto" else model_name_for_task(model["weights"], task)
    item = _fingerprint_weights_file("model.weights", weights, model["folder"])
    path = find_base_weights(weights, model["folder"])
    if item.fingerprint is not None:
        stated = model["sha256"] if weights == model["weights"] else None  # else of another file
        listed = read_listed_sha256(weights, path)
        check_sha256(item.fingerprint, what=f"model.weights={weights}", stated=stated, listed=listed)
    return item


def fingerprint_other_tasks_weights(values: Mapping[str, Any], lock: Mapping[str, Any]) -> dict[str, str]:
    """Fingerprint the weights that other tasks would use, while the task is not known.

    `finetune` chooses among them when `prepare` has found the task, in the same `dvc repro`. Weights that are
    not downloaded yet are left out; weights that were here before keep their recorded fingerprint.

    Args:
        values: The whole configuration.
        lock: The last compose.lock.json; empty where it is about other weights.
    """
    model, weights = values["model"], values["model"]["weights"]
    if values["data"].get("task", "auto") != "auto" or values["finetune"]["strategy"] == "scratch":
        return {}
    found: dict[str, str] = {}
    for name in sorted({model_name_for_task(weights, task) for task in TASK_SUFFIXES} - {weights}):
        fingerprint = _fingerprint_weights_file("model.weights", name, model["folder"]).fingerprint
        recorded = fingerprint or lock.get("siblings", {}).get(name)
        found |= {name: recorded} if recorded else {}
    return found


def fingerprint_teacher(distill_model: str | None, folder: str | None) -> InputFingerprint:
    """Fingerprint finetune.distill_model."""
    if distill_model is None:
        return InputFingerprint("finetune.distill_model=null", "none")
    return _fingerprint_weights_file("finetune.distill_model", distill_model, folder)


def fingerprint_architecture(architecture: str, lock: Mapping[str, Any]) -> InputFingerprint:
    """Fingerprint model.architecture: a file, or the name of a YAML that Ultralytics ships."""
    item = _fingerprint_named_file(f"model.architecture={architecture}", architecture, None)
    if item.fingerprint is not None or Path(architecture).name != architecture:
        return item
    is_recorded = lock.get("of", {}).get("architecture") == item.name
    return item._replace(otherwise=architecture) if is_recorded or _is_shipped(architecture) else item


def _fingerprint_weights_file(key: str, weights: str, folder: str | None) -> InputFingerprint:
    """Fingerprint weights; those that Ultralytics offers for download may be absent."""
    place = f" (model.folder={folder})" if folder and not Path(weights).is_absolute() else ""
    item = _fingerprint_named_file(f"{key}={weights}{place}", weights, folder)
    is_folder = not folder or (project_root() / expand_home(folder)).is_dir()
    if item.fingerprint is None and is_folder and DOWNLOADABLE_WEIGHTS.fullmatch(weights):
        return item._replace(otherwise=read_listed_sha256(weights) or weights)
    return item


def _fingerprint_named_file(name: str, value: str, folder: str | None) -> InputFingerprint:
    path = find_base_weights(value, folder)
    for candidate in [path] if path else iterate_candidate_paths(value, folder):
        _refuse_stage_outputs(name, candidate)
    if path is None:
        return InputFingerprint(name, None)
    return InputFingerprint(name, fingerprint_file(path, cache=create_scratch_folder() / "hashes.db"))


def _is_shipped(architecture: str) -> bool:
    """Check whether Ultralytics ships a model YAML, without importing it."""
    package = find_spec("ultralytics")
    if package is None or package.origin is None:
        return False
    names = {architecture, _SCALE.sub(r"\1\3", architecture)}
    return any(path.name in names for path in (Path(package.origin).parent / "cfg/models").rglob("*.yaml"))


def _refuse_stage_outputs(name: str, path: Path) -> None:
    """Refuse a file in a folder that DVC deletes before the stage that reads it; the file may be a link."""
    folder = path.parent.resolve()
    for out in STAGE_OUTPUTS:
        if folder.is_relative_to((project_root() / out).resolve()):
            raise UserError(
                f"{name} is in {out}, which the next run replaces: copy it to a folder of its own, "
                "and give the path of the copy"
            )
