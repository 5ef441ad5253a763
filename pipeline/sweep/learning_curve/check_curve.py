"""Check before a sweep that a learning curve can come of it."""

from __future__ import annotations

from typing import Any, Final

from pipeline.compose.stage import ParamValues
from pipeline.config.automatic import AUTOMATIC
from pipeline.config.schema import parse_config
from pipeline.core.errors import UserError
from pipeline.storage.base_weights import find_weights_origin
from pipeline.sweep.settings import SweepSettings
from pipeline.sweep.space.search_space import SearchSpace

FRACTION_KEY: Final = "data.fraction"
_NEEDED_SETTINGS: Final[tuple[tuple[str, Any, str], ...]] = (
    ("test", True, "each training is scored on test"),
    ("folds", None, "the test images are the same for all trainings, and no fold is val"),
    ("pruner", "none", "every training goes to its end"),
    ("objectives", (), "it is of the main metric"),
    ("constraints", (), "it is of the main metric"),
    ("trials", None, "every fraction is trained on"),
    ("keep", "all", "the predictions of every training are needed"),
)


def check_learning_curve(space: SearchSpace, settings: SweepSettings, first: ParamValues) -> None:
    """Check the space and the settings of a sweep that draws a learning curve.

    Args:
        space: Of the sweep.
        settings: Of the sweep.
        first: The configuration of its first point.

    Raises:
        UserError: What does not fit, and what to write.
    """
    keys = [axis.key.lstrip("+") for axis in space.axes]
    if keys != [FRACTION_KEY] or not space.axes[0].choices:
        raise UserError(
            f"a learning curve has one axis, {FRACTION_KEY}, with values such as 0.25,0.5,1; "
            f"this command has {', '.join(keys) or 'none'}: give it several values, and other keys one each"
        )
    fractions = [float(choice) for choice in space.axes[0].choices]
    if 1.0 not in fractions or len(set(fractions)) < len(fractions):
        raise UserError(
            f"a learning curve needs each value of {FRACTION_KEY} once, and 1, all train images, among them"
        )
    for name, needed, reason in _NEEDED_SETTINGS:
        value = getattr(settings, name)
        if value != needed:
            text = str(value).lower() if isinstance(value, bool) else value
            raise UserError(f"sweep.{name}={text} does not go with a learning curve: {reason}")
    if first["finetune"].get("imgsz") == AUTOMATIC:
        raise UserError(
            f"finetune.imgsz=auto may choose another size for each {FRACTION_KEY}, and the size moves the "
            "scores, too: set finetune.imgsz to a number"
        )
    teacher = first["finetune"].get("distill_model")
    if teacher is not None and find_weights_origin(teacher, first["model"]["folder"]) == "own":
        raise UserError(
            f"finetune.distill_model={teacher} may have learned the images that {FRACTION_KEY} leaves out, "
            "and would teach them: set it to null, or to official weights by their name"
        )
    if (unlabelled := first["data"]["unlabelled_source"]) is not None:
        raise UserError(
            f"data.unlabelled_source={unlabelled} adds train images that nobody labelled, and a learning "
            "curve counts labelled ones: set it to null"
        )


def check_zero_shot(first: ParamValues) -> None:
    """Check before the trainings that the model of zero_shot.weights, if there is one, can be asked.

    Args:
        first: The configuration of the first point of the sweep.

    Raises:
        UserError: It, its text encoder, or the package that it needs is not there.
    """
    if first["zero_shot"]["weights"] is not None:
        from pipeline.comparison.models.zero_shot import require_zero_shot

        require_zero_shot(parse_config(first))
