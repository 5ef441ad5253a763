"""YOLO26's loss: how its weights shift between the two heads from epoch to epoch."""

from __future__ import annotations

from typing import Any, Final

from ultralytics.utils.loss import E2ELoss

from pipeline.core.errors import UserError

ULTRALYTICS_SHARE: Final = 0.1
"""The weight of the one-to-many head in the last epoch, as Ultralytics has it; in the first it is 0.8."""


def begin_criterion(model: Any, *, one_to_many: float, finished_epochs: int) -> None:
    """Create the loss of a network for its next epoch.

    The backbone of a YOLO26 learns from the one-to-many head alone, whose weight falls linearly from epoch
    to epoch; the one-to-one head has the rest.

    Args:
        model: The network, without wrappers.
        one_to_many: The weight of the one-to-many head in the last epoch, 0 to 1.
        finished_epochs: How many epochs are finished.

    Raises:
        UserError: The network has no such heads, and the weight is not that of Ultralytics.
    """
    model.criterion = model.init_criterion()
    if isinstance(model.criterion, E2ELoss):
        model.criterion.final_o2m = one_to_many
        if finished_epochs:
            model.criterion.updates = finished_epochs - 1
            model.criterion.update()
    elif one_to_many != ULTRALYTICS_SHARE:
        raise UserError(
            f"finetune.one_to_many={one_to_many:g}: this model has no one-to-many head, as YOLO26 has: "
            f"set it to {ULTRALYTICS_SHARE}"
        )
