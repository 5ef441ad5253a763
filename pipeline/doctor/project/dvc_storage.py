"""Check DVC's cache and remote. Nothing is written to them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipeline.doctor.check_finding import CheckFinding
from pipeline.storage.dvc_remotes.dvc_settings import DvcSettings, has_remote_folder

if TYPE_CHECKING:
    from pipeline.doctor.examined_project import ExaminedProject

_RIGHTS: Final = "change its access rights, or name another folder with `dvc cache dir --local FOLDER`"


def check_dvc_cache(project: ExaminedProject) -> Iterator[CheckFinding]:
    """Check that DVC's settings can be read, and that its cache can be written."""
    cache = project.dvc_settings.cache
    if not (project.root / "dvc.yaml").is_file():
        yield CheckFinding("fault", "there is no dvc.yaml", "restore it with `git checkout dvc.yaml`")
    obstacle = _find_obstacle(cache)
    if obstacle:
        yield CheckFinding("fault", f"DVC's cache {cache} {obstacle}", _RIGHTS)
    elif not cache.exists():
        yield CheckFinding("ok", f"{_shorten(cache, project.root)} does not exist yet")
    else:
        yield CheckFinding("ok", f"{_shorten(cache, project.root)} can be written")


def check_dvc_remote(project: ExaminedProject) -> Iterator[CheckFinding]:
    """Check the default remote, or the only one: it answers, and its folder exists."""
    settings = project.dvc_settings
    name = settings.default_remote or next(iter(settings.remotes), None)
    if name is None:
        yield CheckFinding("ok", "there is no remote: data and models are on this machine alone")
    elif name not in settings.remotes:
        seen = f"the default remote {name} is not defined"
        yield CheckFinding(
            "fault", seen, f"run `dvc remote add {name} ADDRESS`, or `dvc remote default NAME`"
        )
    else:
        yield _check_remote(settings, name)


def _check_remote(settings: DvcSettings, name: str) -> CheckFinding:
    address = settings.remotes[name]
    default = "" if settings.default_remote else f"; no remote is the default (`dvc remote default {name}`)"
    if not has_remote_folder(settings, name):
        seen = f"the folder of the remote {name} ({address}) does not exist"
        return CheckFinding("warning", seen, "mount its disk; if nothing was pushed yet, create the folder")
    if "://" not in address and not os.access(address, os.W_OK):
        seen = f"the remote {name} ({address}) can be read, and not written"
        return CheckFinding("warning", seen, "ask its owner for the right to write, if you want to push")
    return CheckFinding("ok", f"{name} ({address}) answers{default}")


def _find_obstacle(cache: Path) -> str:
    """Return why a cache cannot be used; empty if it can."""
    if cache.exists() and not cache.is_dir():
        return "is no folder"
    place = next((path for path in (cache, *cache.parents) if path.exists()), Path("/"))
    if not os.access(place, os.R_OK | os.W_OK | os.X_OK):
        return f"cannot be written (no permission in {place})"
    return ""


def _shorten(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
