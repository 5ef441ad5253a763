"""Run Ultralytics' own search in the current folder, for benchmarks/search.py.

python benchmarks/tune.py tune|ray SPACE POINTS EPOCHS
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def main(method: str, space: dict[str, tuple[float, float]], points: int, epochs: int) -> None:
    """Search with the images of data.yaml and the training arguments of params.yaml."""
    sys.path.insert(0, str(Path.cwd()))
    from ultralytics import YOLO, settings

    settings.update({"mlflow": False, "dvc": False, "tensorboard": False, "sync": False})
    folder = Path.cwd()
    arguments = {
        "data": str(folder / "data.yaml"),
        "epochs": epochs,
        "project": str(folder / "tuned"),
        "plots": False,
    }
    model = YOLO(folder / "models/foundation/yolo26n-foundation.pt")
    own = {**collect_arguments(), **arguments}
    if method == "ray":
        from ray import tune

        choices: dict[str, Any] = {name: tune.uniform(*limits) for name, limits in space.items()}
        own = {
            name: value for name, value in own.items() if name not in space
        }  # given ones override the space
        model.tune(
            use_ray=True, space={**choices, "lr0": tune.loguniform(*space["lr0"])}, iterations=points, **own
        )
    else:
        model.tune(space=space, iterations=points, **own)


def collect_arguments() -> dict[str, Any]:
    """Return the training arguments of params.yaml."""
    from pipeline.compose.stage import load_config
    from pipeline.finetune.stage import collect_train_arguments

    return {
        name: value for name, value in collect_train_arguments(load_config()).items() if value is not None
    }


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
