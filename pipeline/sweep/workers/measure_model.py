"""Measure the trained model of the current folder: `python -m pipeline.sweep.workers.measure_model NAME ...`.

A process of its own, since it runs on the cores of its job. Prints the measured values as one line of JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Final

from pipeline.core.errors import UserError
from pipeline.core.paths import FINETUNED_FOLDER, PREPARED_FOLDER

WEIGHTS: Final = FINETUNED_FOLDER / "best.pt"


def measure_model(names: list[str]) -> dict[str, float]:
    """Measure the trained model in models/finetuned.

    Args:
        names: Of `milliseconds` per val image, and `parameters`.

    Raises:
        UserError: A name is another one, or there is nothing to measure on.
    """
    from pipeline.compose.stage import load_config
    from pipeline.yolo.inference.speed import count_parameters, measure_milliseconds

    found: dict[str, float] = {}
    for name in names:
        if name == "milliseconds":
            imgsz = json.loads((FINETUNED_FOLDER / "run.json").read_text("utf-8"))["imgsz"]
            device = load_config().finetune.device
            found[name] = measure_milliseconds(WEIGHTS, _list_val_images(), imgsz=imgsz, device=device)
        elif name == "parameters":
            found[name] = count_parameters(WEIGHTS)
        else:
            raise UserError(f"{name} cannot be measured: use milliseconds or parameters")
    return found


def _list_val_images() -> list[Path]:
    from pipeline.dataset.prepared import read_manifest

    return [
        PREPARED_FOLDER / "images" / image.file for image in read_manifest(PREPARED_FOLDER).in_split("val")
    ]


def main(names: list[str]) -> int:
    """Print what was measured; 1 after an error that the user can correct."""
    from pipeline.runtime.environment import set_environment

    set_environment()
    try:
        sys.stdout.write(f"{json.dumps(measure_model(names), allow_nan=False)}\n")
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
