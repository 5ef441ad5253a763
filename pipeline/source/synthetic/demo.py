"""Choose the drawn dataset of each task: its class names and its drawing function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from pipeline.core.errors import UserError
from pipeline.core.tasks import Keypoints, Task, can_convert_task
from pipeline.source.synthetic.calipers import CALIPER_CLASSES, CALIPER_KEYPOINTS, draw_caliper_image
from pipeline.source.synthetic.picture import DrawnImage
from pipeline.source.synthetic.shapes import SHAPE_CLASSES, draw_shapes_image
from pipeline.source.synthetic.steel import (
    FLAW_CLASSES,
    OBB_CLASSES,
    SHEET_CLASSES,
    draw_steel_classify_image,
    draw_steel_image,
    draw_steel_obb_image,
)


class DemoDataset(NamedTuple):
    """A dataset that is drawn.

    Attributes:
        names: Class names by index.
        draw: Draws one image, given its index, seed and pixels.
        keypoints: The keypoints, for pose.
    """

    names: tuple[str, ...]
    draw: Callable[..., DrawnImage]
    keypoints: Keypoints | None = None


_DEMOS: Final[Mapping[Task, DemoDataset]] = {
    "detect": DemoDataset(FLAW_CLASSES, draw_steel_image),
    "segment": DemoDataset(FLAW_CLASSES, draw_steel_image),
    "obb": DemoDataset(OBB_CLASSES, draw_steel_obb_image),
    "classify": DemoDataset(SHEET_CLASSES, draw_steel_classify_image),
    "pose": DemoDataset(CALIPER_CLASSES, draw_caliper_image, CALIPER_KEYPOINTS),
}
_SHAPES: Final = DemoDataset(SHAPE_CLASSES, draw_shapes_image)


def select_demo_dataset(name: str, task: Task) -> DemoDataset:
    """Return the drawn dataset for a task.

    Args:
        name: demo, or shapes: the dataset that the foundation weights are pre-trained on.
        task: The task of the labels.

    Raises:
        UserError: The shapes dataset has no labels for this task: no whole-image classes and no keypoints.
    """
    if name == "demo":
        return _DEMOS[task]
    if not can_convert_task("segment", task):
        raise UserError(f"data.format={name} is not drawn for data.task={task}: set data.format=demo")
    return _SHAPES
