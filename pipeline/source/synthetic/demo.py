"""What is drawn for each task, and what its labels are called."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from pipeline.core.errors import Refused
from pipeline.core.tasks import Keypoints, Task, serves
from pipeline.source.synthetic import calipers, shapes, steel
from pipeline.source.synthetic.picture import Drawing


class Demo(NamedTuple):
    """A set that is drawn.

    Attributes:
        names: Class names by index.
        draw: Draws one picture of it, given its index, seed and pixels.
        keypoints: The points of a pose.
    """

    names: tuple[str, ...]
    draw: Callable[..., Drawing]
    keypoints: Keypoints | None = None


_DEMOS: Final[Mapping[Task, Demo]] = {
    "detect": Demo(steel.CLASSES, steel.draw),
    "segment": Demo(steel.CLASSES, steel.draw),
    "obb": Demo(steel.LONG, steel.draw_long),
    "classify": Demo(steel.SORTED, steel.draw_sorted),
    "pose": Demo(calipers.CLASSES, calipers.draw, calipers.POINTS),
}
_SHAPES: Final = Demo(shapes.CLASSES, shapes.draw)


def choose(name: str, task: Task) -> Demo:
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
        raise Refused(f"data.format={name} is not drawn for data.task={task}: set data.format=demo")
    return _SHAPES
