"""Train on this machine for a training that another machine has started."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from pipeline.config.schema import Config
from pipeline.core.errors import UserError
from pipeline.finetune.automatic.resolve_values import set_automatic_values
from pipeline.finetune.stage import build_job, gather_inputs
from pipeline.storage.scratch_folder import create_scratch_folder
from pipeline.yolo.distributed.train_in_processes import help_to_train
from pipeline.yolo.errors import check_device


def join_training(config: Config, address: str) -> None:
    """Train with another machine until it ends the training. No output, checkpoint or run is written here.

    Args:
        config: The same as on the other machine, with finetune.nodes above 1.
        address: HOST:PORT of the other machine.

    Raises:
        UserError: The training cannot be joined, or failed on any machine.
    """
    if config.finetune.nodes < 2:
        raise UserError(
            "params.yaml has finetune.nodes=1, so there is nothing to join: set it on all machines"
        )
    check_device(config.finetune.device)
    inputs = gather_inputs(config)
    folder = Path(tempfile.mkdtemp(prefix=f"{inputs.key[:16]}-", dir=create_scratch_folder("joined")))
    try:
        resolved = set_automatic_values(config, inputs.automatic)
        help_to_train(build_job(resolved, inputs, folder), address)
    except BaseException:
        for path in folder.iterdir():  # the output of the processes stays: the error names it
            if path.suffix != ".log":
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        raise
    shutil.rmtree(folder, ignore_errors=True)
