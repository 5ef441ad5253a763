"""Read dvc.lock and dvc.yaml without DVC: the stages, their outputs, and the hashes of these."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from pipeline.core.errors import UserError
from pipeline.storage.dvc_remotes.damaged_objects import hash_md5
from pipeline.storage.fingerprint import IGNORED_SUFFIXES
from pipeline.storage.finished_trainings import DVC_LOCK_FILE

DVC_FILE: Final = Path("dvc.yaml")
_MADE: Final = ("outs", "metrics", "plots")


def read_lock_stages(root: Path) -> dict[str, Any]:
    """Return the stages in dvc.lock by name; empty if there is none yet.

    Raises:
        UserError: It is no YAML, as with marks of a merge, or has no stages.
    """
    stages = _read_stages(root / DVC_LOCK_FILE)
    return stages if stages is not None else {}


def list_stage_outputs(root: Path) -> Iterator[Path]:
    """Yield the outputs of all stages in dvc.yaml.

    Raises:
        UserError: It cannot be read.
    """
    for stage in (_read_stages(root / DVC_FILE) or {}).values():
        for part in _MADE:
            for entry in (stage.get(part) or ()) if isinstance(stage, dict) else ():
                yield Path(next(iter(entry)) if isinstance(entry, dict) else str(entry))


def find_hash(stages: Mapping[str, Any], stage: str, part: str, path: Path) -> str | None:
    """Return DVC's hash of a path in dvc.lock; None if it is not there.

    Args:
        stages: As in dvc.lock.
        stage: Such as finetune.
        part: outs or deps.
        path: Relative to the project.
    """
    found = stages.get(stage)
    entries = found.get(part) or () if isinstance(found, dict) else ()
    return next((str(each.get("md5")) for each in entries if each.get("path") == path.as_posix()), None)


def hash_as_dvc(path: Path) -> str | None:
    """Return the hash of a file or folder as dvc.lock has it; None if it does not exist.

    That of a folder is the MD5 of the list of its files, without those that .dvcignore excludes.
    """
    if path.is_file():
        return hash_md5(path)
    if not path.is_dir():
        return None
    files = (each for each in path.rglob("*") if each.is_file() and not each.name.endswith(IGNORED_SUFFIXES))
    named = sorted((each.relative_to(path).as_posix(), each) for each in files)
    rows = [{"md5": hash_md5(each), "relpath": name} for name, each in named]
    return f"{hashlib.md5(json.dumps(rows, allow_nan=False).encode(), usedforsecurity=False).hexdigest()}.dir"


def _read_stages(path: Path) -> dict[str, Any] | None:
    """Return the stages of a file of DVC; None if there is no file.

    Raises:
        UserError: It cannot be read.
    """
    from pipeline.config.yaml_limits import require_small_yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast
    try:
        content = path.read_bytes()
        if b"&" in content:  # only aliases can make a small file large
            require_small_yaml(content, path.name)
        found = yaml.load(content, Loader=loader)
        stages = found["stages"]
    except FileNotFoundError:
        return None
    except (yaml.YAMLError, ValueError, TypeError, KeyError, RecursionError) as error:
        reason = " ".join(str(error).split())[:120]
        raise UserError(
            f"{path.name} cannot be read ({reason}): `git checkout {path.name}` restores the committed one"
        ) from None
    return stages if isinstance(stages, dict) else {}
