"""The place of this process among those of a training. Standard library only: read before torch is imported.

Ultralytics reads RANK, LOCAL_RANK and WORLD_SIZE when it is imported, and believes them: a training alone in
its process would multiply its loss by zero where a cluster sets them for something else.
"""

from __future__ import annotations

import os
from typing import Final, NamedTuple

CHANNEL_VARIABLE: Final = "FINETRACK_RANK_CHANNEL"
"""The file descriptor of the connection to the process that watches. Only processes of a training have it."""
_VARIABLES: Final = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")
"""torchrun's names for the fields of `GroupMember`."""


class GroupMember(NamedTuple):
    """The place of a process among those that train one model together.

    Attributes:
        rank: Its number, from 0; the first one writes checkpoints and reports epochs.
        local_rank: Its number on this machine.
        size: How many there are; 1 for a training in one process.
        local_size: How many there are on this machine.
    """

    rank: int = 0
    local_rank: int = 0
    size: int = 1
    local_size: int = 1


def read_member() -> GroupMember:
    """Read the place of this process."""
    if CHANNEL_VARIABLE not in os.environ:
        return GroupMember()
    return GroupMember(*(int(os.environ[name]) for name in _VARIABLES))


def build_variables(member: GroupMember) -> dict[str, str]:
    """Return the environment variables of a process in this place."""
    return dict(zip(_VARIABLES, map(str, member), strict=True))


def forget_foreign_group() -> None:
    """Remove the variables of a process group that is not ours. Call it before Ultralytics is imported."""
    if CHANNEL_VARIABLE not in os.environ:
        for name in _VARIABLES:
            os.environ.pop(name, None)
