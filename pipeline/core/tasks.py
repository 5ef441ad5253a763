"""The tasks of YOLO models, named as in Ultralytics, and which annotations fit which task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

Task = Literal["detect", "segment", "classify", "obb", "pose"]
TASKS: Final[tuple[Task, ...]] = get_args(Task)

_CONVERTIBLE_TO: Final[dict[Task, frozenset[Task]]] = {
    "detect": frozenset({"detect"}),
    "segment": frozenset({"segment", "detect", "obb"}),
    "classify": frozenset({"classify"}),
    "obb": frozenset({"obb", "detect"}),
    "pose": frozenset({"pose", "detect"}),
}


def can_convert_task(found: Task, wanted: Task) -> bool:
    """Check whether annotations of one task can be converted to those of another.

    An outline gives an upright and a rotated box; a rotated box and a pose give an upright box. A box never
    gives an outline.
    """
    return wanted in _CONVERTIBLE_TO[found]


@dataclass(frozen=True)
class Keypoints:
    """The keypoints of a pose.

    Args:
        names: The names of the points, in order.
        flip: For each point the index that it gets in a mirrored image (Ultralytics' flip_idx): left and
            right points swap, a point in the middle keeps its index. Empty if it is not known: then no image
            may be mirrored, since the order of its points would be wrong.
        dims: Values per point in the source: 2 for x and y, 3 with visibility (0 not labelled, 1 hidden, 2
            visible). Prepared labels always have 3.
    """

    names: tuple[str, ...]
    flip: tuple[int, ...]
    dims: Literal[2, 3] = 3

    def __post_init__(self) -> None:
        if self.flip and sorted(self.flip) != list(range(len(self.names))):
            raise ValueError(f"flip_idx {list(self.flip)} is not a permutation of {len(self.names)} points")

    @property
    def count(self) -> int:
        """The number of points."""
        return len(self.names)
