"""Check before a sweep that DVC can record its experiments."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from pipeline.core.errors import UserError
from pipeline.storage.git import read_git_state, require_full_history, require_owned_repository
from pipeline.storage.scratch_folder import project_root


def require_recordable_experiments() -> None:
    """Require a git commit with its history, in a repository that git trusts, and a cache that DVC can name.

    Raises:
        UserError: What is missing, and what to do.
    """
    root = project_root()
    require_owned_repository(root)
    commit, _ = read_git_state(root)
    if commit is None:
        raise UserError(
            "a sweep needs a git commit to start from: run `git init && git add -A && git commit -m start`"
        )
    require_full_history(root)
    _require_nameable_cache(root)


def _require_nameable_cache(root: Path) -> None:
    """Require a DVC cache whose path is ASCII: DVC writes it to a file of each workspace, as ASCII.

    A cache below the project is named by a path from the workspace.
    """
    settings = [root / ".dvc" / name for name in ("config", "config.local")]
    written = [path.read_bytes() for path in settings if path.exists()]
    if all(text.isascii() for text in written):
        return
    command = [sys.executable, "-m", "dvc", "cache", "dir"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    path = done.stdout.strip()
    if done.returncode == 0 and not path.isascii() and not Path(path).is_relative_to(root):
        raise UserError(
            f"DVC cannot run experiments in folders of their own while the path of its cache, {path}, has "
            "letters outside of ASCII: move the cache, and name its path with `dvc cache dir --local PATH`"
        )
