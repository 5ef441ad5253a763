"""Read which code and configuration a run is made from: the commit, and what differs from it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from pipeline.core.paths import RUN_INPUT_FOLDERS, RUN_OUTPUTS
from pipeline.storage.git import list_untracked_files, read_git_state

EXPERIMENTS: Final = "experiment"
"""The group of conf/ to which a sweep writes its best point."""
SWEEP_MARK: Final = "Written by the sweep "
"""Begins the line of such a file that names the sweep."""
COMMIT_TAG: Final = "finetrack.git.commit"
DIRTY_TAG: Final = "finetrack.git.dirty"
UNTRACKED_TAG: Final = "finetrack.git.untracked"
"""Tag with the files that make a run dirty because git does not track them, as a JSON list."""
MAX_LISTED: Final = 20
"""Untracked files that the tag lists."""
_MARKED_LINES: Final = 3


class CodeState(NamedTuple):
    """The state of code and configuration in git.

    Attributes:
        commit: That is checked out; None without git, a repository or a commit.
        is_changed: Whether tracked files differ from it; outputs of runs do not count.
        untracked: Files of conf/ and pipeline/ that git does not track, and that may shape a run.
    """

    commit: str | None
    is_changed: bool
    untracked: tuple[str, ...] = ()

    @property
    def is_dirty(self) -> bool:
        """Whether the commit alone does not give the code and configuration."""
        return self.is_changed or bool(self.untracked)


def read_code_state(project: Path) -> CodeState:
    """Read the state of the code of a project.

    Files that sweeps wrote to conf/experiment do not count: they only choose values, and params.yaml, which
    each run logs, has all values.

    Args:
        project: The project's folder.
    """
    commit, is_changed = read_git_state(project, exclude=RUN_OUTPUTS)
    if commit is None:
        return CodeState(None, False)
    found = list_untracked_files(project, RUN_INPUT_FOLDERS)
    if found is None:  # git gives no answer: nothing proves that there are none
        return CodeState(commit, True)
    untracked = tuple(name for name in found if not is_written_by_sweep(project / name))
    return CodeState(commit, is_changed, untracked)


def is_written_by_sweep(path: Path) -> bool:
    """Return whether a file of conf/experiment was written by any sweep."""
    if path.parent.name != EXPERIMENTS or path.suffix != ".yaml":
        return False
    try:
        lines = path.read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return False
    return any(line.startswith(f"# {SWEEP_MARK}") for line in lines[:_MARKED_LINES])


def build_code_tags(state: CodeState) -> dict[str, Any]:
    """Build the tags of a run that say which code it was made from."""
    listed = state.untracked[:MAX_LISTED]
    return {
        COMMIT_TAG: state.commit,
        DIRTY_TAG: state.is_dirty if state.commit else None,
        UNTRACKED_TAG: list(listed) if state.is_dirty else None,
    }


def parse_untracked(tags: Mapping[str, str]) -> list[str]:
    """Return the untracked files that the tags of a run name; empty where none are known."""
    try:
        found = json.loads(tags.get(UNTRACKED_TAG, "[]"))
    except ValueError:
        return []
    return [str(name) for name in found] if isinstance(found, list) else []
