"""Train on this machine for a training that another machine has started (`finetrack join HOST:PORT`)."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Iterator

from pipeline.compose.stage import load_config


def run_command(arguments: Namespace) -> Iterator[str]:
    """Train until the other machine ends the training.

    Args:
        arguments: `address` (HOST:PORT).

    Yields:
        The line to print.

    Raises:
        UserError: The training cannot be joined, or failed on any machine.
    """
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # else a lost connection prints a page of addresses
    from pipeline.finetune.join_training import join_training

    join_training(load_config(), arguments.address)
    yield f"join: the training of {arguments.address} has ended; its results are there"
