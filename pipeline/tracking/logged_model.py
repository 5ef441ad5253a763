"""Save the best weights as an MLflow model beside the outbox messages."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import tempfile
import warnings
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

import yaml
from PIL import Image, ImageOps

from pipeline.core.tasks import Task
from pipeline.tracking.model_signature import INPUT_DESCRIPTION, OUTPUT_DESCRIPTIONS, build_signature

REQUIRED_PACKAGES: Final = (
    "mlflow",
    "ultralytics",
    "torch",
    "torchvision",
    "opencv-python",
    "opencv-python-headless",
    "numpy",
    "pandas",
    "shapely",
)
"""Packages that serving needs; those that are installed are pinned in the model's requirements."""
MAX_EXAMPLE_SIDE: Final = 640
"""Pixels of the input example."""
TILES_KEY: Final = "tiles"
"""Of the description of a model: the package that merges tiles. Models of earlier versions have none."""
SERVED_MODEL_FILE: Final = Path(__file__).with_name("served_model.py")
"""The code that loads the weights and predicts; it is copied into the model."""

CORE_FOLDER: Final = Path(__file__).parents[1] / "core"
TILE_MODULES: Final = (
    "arrays",
    "detections",
    "geometry/masks",
    "tiles/plan_tiles",
    "tiles/match_fragments",
    "tiles/join_parts",
    "tiles/merge_tiles",
)
"""What `merge_tiles` imports, and itself: below `pipeline.core`. They need numpy and shapely."""
_CORE_NAME: Final = "pipeline.core."
_PACKAGE_TEXT: Final = '"""Merge the predictions of tiles; copied from finetrack."""\n'
"""An empty file would be uploaded in chunks, without a length, which not every server and proxy accepts."""


def save_model(
    folder: Path, weights: Path, example: Path, *, task: Task = "detect", imgsz: int | None = None
) -> None:
    """Save a pyfunc model with code, weights, pinned requirements, signature and input example.

    Signature and requirements are given, so that MLflow neither predicts with the model nor starts a process
    that imports it.

    Args:
        folder: The new folder of the model.
        weights: An Ultralytics checkpoint.
        example: An image, which is stored in the model as base64 text.
        task: The task of the weights.
        imgsz: The image size of the training, in pixels; None leaves it to the checkpoint.
    """
    with warnings.catch_warnings(action="ignore"):  # MLflow warns about a type hint of its own
        from mlflow.pyfunc import save_model as save_pyfunc_model

    with tempfile.TemporaryDirectory() as place:
        code = copy_tile_code(Path(place))
        facts = {"task": task, "input": INPUT_DESCRIPTION, "output": OUTPUT_DESCRIPTIONS[task]}
        save_pyfunc_model(
            str(folder),
            python_model=str(SERVED_MODEL_FILE),
            code_paths=[str(code)],
            model_config={TILES_KEY: code.name},
            artifacts={"weights": weights.absolute().as_uri()},
            signature=build_signature(task, {"imgsz": imgsz} if imgsz else {}),
            input_example=[_encode_example(example)],
            pip_requirements=list(_iterate_requirements()),
            metadata={**facts, TILES_KEY: code.name},
            streamable=False,
        )
    _adjust_description(folder)


def copy_tile_code(folder: Path) -> Path:
    """Write the code that merges tiles as a package; return its folder, which has the package's name.

    The name holds a digest of the code, so that two models in one process never share other code than their
    own; and it is not `pipeline`, which would hide this project where both are installed.

    Args:
        folder: An existing folder, which receives the package.
    """
    texts = {name: (CORE_FOLDER / f"{name}.py").read_text("utf-8") for name in TILE_MODULES}
    digest = hashlib.sha256("".join(texts.values()).encode()).hexdigest()
    package = folder / f"finetrack_tiles_{digest[:12]}"
    for name, text in texts.items():
        file = package / f"{name}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.with_name("__init__.py").write_text(_PACKAGE_TEXT, "utf-8")
        file.write_text(text.replace(_CORE_NAME, f"{package.name}."), "utf-8")
    return package


def _adjust_description(folder: Path) -> None:
    """Remove this machine's paths from the MLmodel file, and let inputs reach `predict` as they are.

    Without `is_signature_from_type_hint` MLflow makes a table of every input, which fails for RGB arrays.
    """
    description = yaml.safe_load((folder / "MLmodel").read_text())
    flavor = description["flavors"]["python_function"]
    flavor["model_code_path"] = SERVED_MODEL_FILE.name
    for artifact in flavor["artifacts"].values():
        artifact["uri"] = artifact["path"]
    description["is_signature_from_type_hint"] = True
    (folder / "MLmodel").write_text(yaml.safe_dump(description))


def _iterate_requirements() -> Iterator[str]:
    """Yield the installed versions without the build's suffix (2.15.0+cpu), which package indexes lack."""
    for name in REQUIRED_PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            yield f"{name}=={version(name).split('+')[0]}"


def _encode_example(file: Path) -> str:
    """Return an image as base64 text of a JPEG, scaled down where it is large."""
    with Image.open(file) as opened:
        image = ImageOps.exif_transpose(opened).convert("RGB")
    image.thumbnail((MAX_EXAMPLE_SIDE, MAX_EXAMPLE_SIDE))
    data = io.BytesIO()
    image.save(data, "JPEG", quality=90)
    return base64.b64encode(data.getvalue()).decode()
