"""Set the image size in a configuration that leaves it to the data."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.config.automatic import AUTOMATIC
from pipeline.config.schema import Config


def set_automatic_size(config: Config, find_pixels: Callable[[], int]) -> Config:
    """Return the configuration with a number in the place of finetune.imgsz=auto.

    Args:
        config: The configuration; one with a number is returned as it is.
        find_pixels: Returns the size, a multiple of 32; called where it is auto.
    """
    if config.finetune.imgsz != AUTOMATIC:
        return config
    finetune = config.finetune.model_copy(update={"imgsz": find_pixels()})
    return config.model_copy(update={"finetune": finetune})
