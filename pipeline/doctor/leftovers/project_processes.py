"""List the processes of this project that run: stages, DVC, sweeps, and what they started."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

from pipeline.core.stages import STAGES
from pipeline.storage.scratch_folder import ROOT_VARIABLE

STAGE_COMMANDS: Final = ("compose", *STAGES)
_DVC: Final = re.compile(r"(^|/)dvc$")


class ProjectProcess(NamedTuple):
    """A process that works in this project.

    Attributes:
        pid: Its process id.
        parent: The process id of its parent.
        started: In seconds since 1970.
        words: Its command.
        folder: Its working folder.
        of_dvc: Whether DVC started it, or an ancestor of it, as a stage.
        ancestors: The commands of its ancestors, the nearest first.
    """

    pid: int
    parent: int
    started: float
    words: Sequence[str]
    folder: Path
    of_dvc: bool
    ancestors: Sequence[Sequence[str]]

    @property
    def stage(self) -> str | None:
        """The stage that it runs; None for any other command."""
        return find_stage(self.words)

    @property
    def is_command(self) -> bool:
        """Whether it is a command of this project, or of DVC: a shell or an editor in its folder is none."""
        return self.of_dvc or is_dvc(self.words) or any("pipeline" in word for word in self.words[1:4])


def list_project_processes(root: Path) -> list[ProjectProcess]:
    """List the processes that work in a project, without this one and its ancestors.

    Args:
        root: The project's folder; those in folders below it count, too.
    """
    import psutil

    own = {os.getpid(), *(process.pid for process in psutil.Process().parents())}
    found = (_describe(process, root) for process in psutil.process_iter() if process.pid not in own)
    return [process for process in found if process is not None]


def find_stage(words: Sequence[str]) -> str | None:
    """Return the stage that a command runs: `python -m pipeline STAGE`."""
    for place, word in enumerate(words[:-1]):
        if word == "pipeline" and words[place - 1] == "-m" and words[place + 1] in STAGE_COMMANDS:
            return words[place + 1]
    return None


def is_dvc(words: Sequence[str]) -> bool:
    """Return whether a command is DVC's: `dvc ...`, `python -m dvc ...`, `python .../bin/dvc ...`."""
    if not words:
        return False
    if _DVC.search(words[0]):
        return True
    is_python = Path(words[0]).name.startswith("python")
    script = words[1] if is_python and len(words) > 1 else ""
    return bool(_DVC.search(script)) or (is_python and list(words[1:3]) == ["-m", "dvc"])


def is_sweep(words: Sequence[str]) -> bool:
    """Return whether a command is a sweep's: `python -m pipeline.sweep`, or a module of it."""
    return any(word.startswith("pipeline.sweep") or "/pipeline/sweep/" in word for word in words)


def format_command(words: Sequence[str]) -> str:
    """Return a command as a short text."""
    text = " ".join(Path(word).name if place == 0 else word for place, word in enumerate(words))
    return text if len(text) <= 60 else f"{text[:57]}..."


def _describe(process: Any, root: Path) -> ProjectProcess | None:
    """Describe a process of this project; None for any other, and for one that has ended."""
    import psutil

    with suppress(psutil.Error, OSError):
        words = process.cmdline()
        if not words or process.status() == psutil.STATUS_ZOMBIE:
            return None
        variables: Mapping[str, str] = process.environ()
        folder = Path(process.cwd())
        if not _is_of_project(variables, folder, root):
            return None
        return ProjectProcess(
            process.pid,
            process.ppid(),
            process.create_time(),
            words,
            folder,
            "DVC_STAGE" in variables,
            [*_list_ancestors(process)],
        )
    return None


def _is_of_project(variables: Mapping[str, str], folder: Path, root: Path) -> bool:
    """Return whether a process works below the project, or is a stage for it in a folder elsewhere."""
    if folder.is_relative_to(root):
        return True
    return any(
        name in variables and Path(variables[name]).resolve() == root for name in (ROOT_VARIABLE, "DVC_ROOT")
    )


def _list_ancestors(process: Any) -> Iterator[Sequence[str]]:
    import psutil

    for ancestor in process.parents():
        with suppress(psutil.Error):
            yield ancestor.cmdline()
