"""Contents that DVC tracks: a file, or the list of the files of a folder. Standard library only."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

FOLDER_SUFFIX: Final = ".dir"
"""Ends the name of an object that lists the files of a folder."""
WORKSPACE_OWNER: Final = ""
"""The owner of what the dvc.lock of the workspace names."""
COMMIT_OWNER: Final = "HEAD"
"""The owner of what the last commit names."""
HASH_NAME: Final = "md5"
"""Of the hash of DVC 3 and later."""


class TrackedObject(NamedTuple):
    """The contents of a file, or the list of the files of a folder.

    Attributes:
        oid: MD5 of the contents, as DVC writes it; of a list with FOLDER_SUFFIX.
        path: What it is in the project, such as `data/prepared/images/train/a.jpg`.
        owner: The name of an experiment; `name_commit_owner`; COMMIT_OWNER; WORKSPACE_OWNER.
    """

    oid: str
    path: str
    owner: str = WORKSPACE_OWNER

    @property
    def is_folder(self) -> bool:
        """Whether it is the list of the files of a folder."""
        return self.oid.endswith(FOLDER_SUFFIX)

    def describe(self) -> str:
        """Name it for a user: its path, and the experiment that it is of."""
        return f"{self.path} of {describe_owner(self.owner)}" if self.owner else self.path


class TrackedOutputs(NamedTuple):
    """What DVC tracks in the workspace and at some commits.

    Attributes:
        objects: Each contents once, under its first owner.
        skipped: A sentence for each thing that cannot be handled.
    """

    objects: tuple[TrackedObject, ...]
    skipped: tuple[str, ...]


def name_commit_owner(commit: str) -> str:
    """Return the owner of what a commit before the last one names; no experiment's name has a space."""
    return f"commit {commit[:7]}"


def describe_owner(owner: str) -> str:
    """Name the owner of contents for a user."""
    if " " in owner:
        return owner
    return "the last commit" if owner == COMMIT_OWNER else f"experiment {owner}"


def parse_folder_list(folder: TrackedObject, text: bytes) -> Iterator[TrackedObject]:
    """Yield the files of a folder.

    Args:
        folder: The folder.
        text: The contents of its list.

    Raises:
        ValueError: It is no such list.
    """
    rows = json.loads(text)
    for row in rows:
        yield TrackedObject(str(row[HASH_NAME]), f"{folder.path}/{row['relpath']}", folder.owner)


def read_folder_list(folder: TrackedObject, path: Path) -> Sequence[TrackedObject]:
    """Read the list of the files of a folder from its object in the cache.

    Raises:
        OSError: It cannot be read.
        ValueError: It is no such list.
    """
    return tuple(parse_folder_list(folder, path.read_bytes()))
