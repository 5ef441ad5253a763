"""The tasks of a YOLO model, as Ultralytics names them, and which annotations serve which task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

Task = Literal["detect", "segment", "classify", "obb", "pose"]
TASKS: Final[tuple[Task, ...]] = get_args(Task)

_SERVES: Final[dict[Task, frozenset[Task]]] = {
    "detect": frozenset({"detect"}),
    "segment": frozenset({"segment", "detect", "obb"}),
    "classify": frozenset({"classify"}),
    "obb": frozenset({"obb", "detect"}),
    "pose": frozenset({"pose", "detect"}),
}


def serves(found: Task, wanted: Task) -> bool:
    """Tell whether annotations of one task can be turned into those of another.

    An outline has a box and a smallest rotated rectangle; a rotated box and a pose have an upright box.
    Nothing turns a box into an outline.
    """
    return wanted in _SERVES[found]


@dataclass(frozen=True)
class Keypoints:
    """The points of a pose.

    Args:
        names: Of the points, in their order.
        flip: For each point the one that it becomes in a mirrored image (Ultralytics' flip_idx): left and
            right change places, a point in the middle stays.
        dims: What a source gives of each, 2: x and y; 3: visibility too (0 not labelled, 1 hidden, 2
            visible), which prepared labels always have.
    """

    names: tuple[str, ...]
    flip: tuple[int, ...]
    dims: Literal[2, 3] = 3

    def __post_init__(self) -> None:
        if sorted(self.flip) != list(range(len(self.names))):
            raise ValueError(f"flip_idx {list(self.flip)} is no exchange of {len(self.names)} points")

    @property
    def count(self) -> int:
        """The number of points."""
        return len(self.names)
