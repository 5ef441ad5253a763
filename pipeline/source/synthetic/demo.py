"""What is drawn for each task, and what its labels are called."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from pipeline.core.errors import UserError
from pipeline.core.tasks import Keypoints, Task, serves
from pipeline.source.synthetic import calipers, shapes, steel
from pipeline.source.synthetic.calipers import CLASSES, POINTS
from pipeline.source.synthetic.picture import DrawnImage
from pipeline.source.synthetic.steel import CLASSES as steel_CLASSES
from pipeline.source.synthetic.steel import LONG, SORTED, draw_long, draw_sorted


class DemoDataset(NamedTuple):
    """A set that is drawn.

    Attributes:
        names: Class names by index.
        draw: Draws one picture of it, given its index, seed and pixels.
        keypoints: The points of a pose.
    """

    names: tuple[str, ...]
    draw: Callable[..., DrawnImage]
    keypoints: Keypoints | None = None


_DEMOS: Final[Mapping[Task, DemoDataset]] = {
    "detect": DemoDataset(steel_CLASSES, steel.draw),
    "segment": DemoDataset(steel_CLASSES, steel.draw),
    "obb": DemoDataset(LONG, draw_long),
    "classify": DemoDataset(SORTED, draw_sorted),
    "pose": DemoDataset(CLASSES, calipers.draw, POINTS),
}
_SHAPES: Final = DemoDataset(shapes.CLASSES, shapes.draw)


def choose(name: str, task: Task) -> DemoDataset:
    """Return what is drawn for a task.

    Args:
        name: demo, or shapes: what the foundation weights are pre-trained on.
        task: What the labels are for.

    Raises:
        Refused: Shapes have outlines, but no classes of whole images and no key points.
    """
    if name == "demo":
        return _DEMOS[task]
    if not serves("segment", task):
        raise UserError(f"data.format={name} is not drawn for data.task={task}: set data.format=demo")
    return _SHAPES
