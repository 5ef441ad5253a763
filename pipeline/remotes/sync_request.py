"""What to push or to pull. Standard library only."""

from __future__ import annotations

from typing import NamedTuple


class SyncRequest(NamedTuple):
    """What to push or to pull.

    Attributes:
        remote: The name of a DVC remote; None for the default one.
        git_remote: The name of a git remote, for experiments.
        experiments: Whether experiments, and what they need, are included.
        branch: Whether to push the branch that is checked out, too.
        force: Whether to replace experiments that the target has with other results.
        verify: Whether to verify everything in the cache that is needed, not only what is copied or used.
    """

    remote: str | None = None
    git_remote: str = "origin"
    experiments: bool = True
    branch: bool = False
    force: bool = False
    verify: bool = False
