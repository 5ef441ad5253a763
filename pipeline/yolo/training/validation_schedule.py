"""Decide which epochs are validated."""

from __future__ import annotations


def is_validation_due(epoch: int, every: int, *, last: int, best: int, patience: float) -> bool:
    """Tell whether an epoch is validated: every few epochs, the last one, and each that may end the training.

    A resumed training knows all arguments too, so it validates the same epochs.

    Args:
        epoch: From 1.
        every: Epochs from one validation to the next, at least 1.
        last: The epoch that ends the training.
        best: The best epoch so far; 0 before the first validation.
        patience: Epochs without a new best that end the training.
    """
    return epoch % every == 0 or epoch >= last or epoch - best >= patience
