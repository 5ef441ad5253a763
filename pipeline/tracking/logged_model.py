"""The best weights as an MLflow model: saved beside the messages, then sent like any other of them."""

from __future__ import annotations

import base64
import contextlib
import io
import platform
import re
import shutil
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePosixPath
from typing import Any, Final

import yaml
from PIL import Image, ImageOps

from pipeline.core.tasks import Task
from pipeline.tracking.client import MlflowClientCache
from pipeline.tracking.dataset_input import on_dataset
from pipeline.tracking.outbox import OutboxMessage

PACKAGES = (
    "mlflow",
    "ultralytics",
    "torch",
    "torchvision",
    "opencv-python",
    "opencv-python-headless",
    "numpy",
    "pandas",
)
EXAMPLE_PIXELS = 640
SERVED = Path(__file__).with_name("served_model.py")


def save(folder: Path, weights: Path, example: Path, *, task: Task = "detect") -> None:
    """Write a pyfunc model with signature and example.

    MLflow's own `save_model` would load the model in the middle of a training's process and predict, to infer
    what is known here, note this machine's paths, and hold the requirements against all that is installed.

    Args:
        folder: Does not exist yet.
        weights: An Ultralytics checkpoint.
        example: An image, which is stored in the model as base64 text.
        task: Of the weights.
    """
    from mlflow.models import Model
    from mlflow.models.utils import _save_example

    place = PurePosixPath("artifacts", weights.name).as_posix()
    (folder / place).parent.mkdir(parents=True)
    shutil.copyfile(weights, folder / place)
    shutil.copyfile(SERVED, folder / SERVED.name)
    _write_environment(folder)
    metadata = {"task": task, "input": INPUT, "output": OUTPUT[task]}
    written = Model(signature=of(task), metadata=metadata)
    written.add_flavor(
        "python_function",
        loader_module="mlflow.pyfunc.loaders.code_model",
        model_code_path=SERVED.name,
        artifacts={"weights": {"path": place, "uri": place}},
        env={"conda": "conda.yaml", "virtualenv": "python_env.yaml"},
        python_version=platform.python_version(),
        streamable=False,
    )
    _save_example(written, [_text(example)], str(folder))
    written.model_size_bytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    written.save(str(folder / "MLmodel"))


def _write_environment(folder: Path) -> None:
    """Write what has to be installed to serve the model, in the three forms that MLflow reads."""
    required, python = list(_requirements()), platform.python_version()
    conda = {
        "name": "mlflow-env",
        "channels": ["conda-forge"],
        "dependencies": [f"python={python}", "pip", {"pip": required}],
    }
    virtualenv = {
        "python": python,
        "build_dependencies": ["pip", "setuptools", "wheel"],
        "dependencies": ["-r requirements.txt"],
    }
    (folder / "requirements.txt").write_text("".join(f"{line}\n" for line in required))
    (folder / "conda.yaml").write_text(yaml.safe_dump(conda, sort_keys=False))
    (folder / "python_env.yaml").write_text(yaml.safe_dump(virtualenv, sort_keys=False))


def _requirements() -> Iterator[str]:
    """Name what is installed, without the build's suffix (2.15.0+cpu), which no index knows."""
    for name in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            yield f"{name}=={version(name).split('+')[0]}"


def upload(store: MlflowClientCache, run_id: str, message: OutboxMessage, folder: Path) -> None:
    """Make the saved model known: tied to its run, with the run's parameters and the given metrics."""
    from mlflow.entities import LoggedModelOutput, Metric
    from mlflow.models import Model

    written = Model.load(str(folder))
    client, run = store.client, store.client.get_run(run_id)
    logged = _find(store, message["id"]) or client.create_logged_model(
        store.experiment,
        name=model_name(run.info.run_name),
        source_run_id=run_id,
        params=run.data.params,
        model_type=written.metadata["task"],
        tags={"finetrack.model": message["id"]},
    )
    client.log_model_artifacts(logged.model_id, str(_stamped(folder, logged, run_id)))
    outputs = run.outputs.model_outputs if run.outputs else []
    if logged.model_id not in {output.model_id for output in outputs}:
        client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
    values = message["values"].items()
    of = {"model_id": logged.model_id} | on_dataset(run)
    client.log_batch(
        run_id, metrics=[Metric(name, value, message["time"], 0, **of) for name, value in values]
    )
    client.set_logged_model_tags(logged.model_id, _about(logged.model_id, run, written))
    client.finalize_logged_model(logged.model_id, "READY")


def model_name(name: str) -> str:
    """Make a legal name of a model: MLflow takes no `/ : . % " '` in it."""
    return re.sub(r"[/:.%\"']+", "-", name).strip("- ") or "detector"


def _about(model_id: str, run: Any, written: Any) -> dict[str, str]:
    """What the model's page shows beside numbers: how to use it, who made it."""
    param = written.signature.params.params[0]
    params = f'{{"{param.name}": {param.default}}}'
    use = f'mlflow.pyfunc.load_model("models:/{model_id}").predict(["part.jpg"], params={params})'
    about = "Input: {input}. Output: {output}.".format(**written.metadata)
    note = f"```python\n{use}\n```\n\n{about}"
    origin = ("mlflow.user", "mlflow.source.name", "mlflow.source.type")
    known = {name: run.data.tags[name] for name in origin if name in run.data.tags}
    return known | {"mlflow.note.content": note}


def _find(store: MlflowClientCache, identity: str) -> Any:
    condition = f"tags.`finetrack.model` = '{identity}'"
    return next(iter(store.client.search_logged_models([store.experiment], filter_string=condition)), None)


def _stamped(folder: Path, logged: Any, run_id: str) -> Path:
    """Write into the saved model which logged model and run it belongs to."""
    from mlflow.models import Model

    written = Model.load(str(folder))
    written.model_id = written.model_uuid = logged.model_id
    written.run_id, written.artifact_path = run_id, logged.artifact_location
    written.save(str(folder / "MLmodel"))
    return folder


def _text(image: Path) -> str:
    """Write an image as base64 text, made smaller where it is large."""
    with Image.open(image) as opened:
        picture = ImageOps.exif_transpose(opened).convert("RGB")
    picture.thumbnail((EXAMPLE_PIXELS, EXAMPLE_PIXELS))
    data = io.BytesIO()
    picture.save(data, "JPEG", quality=90)
    return base64.b64encode(data.getvalue()).decode()


_BOX: Final = dict.fromkeys(("x1", "y1", "x2", "y2", "score"), "double")


_CLASS: Final = {"class": "long", "name": "string"}


COLUMNS: Final[dict[Task, dict[str, str]]] = {
    "detect": {"image": "long", **_BOX, **_CLASS},
    "segment": {"image": "long", **_BOX, **_CLASS, "polygon": "points"},
    "pose": {"image": "long", **_BOX, **_CLASS, "keypoints": "points"},
    "obb": {
        "image": "long",
        **dict.fromkeys(("x1", "y1", "x2", "y2", "x3", "y3", "x4", "y4", "score"), "double"),
        **_CLASS,
    },
    "classify": {"image": "long", "score": "double", **_CLASS},
}
"""Columns and their types; points are lists of lists of numbers."""


INPUT: Final = (
    "a list of images: base64 text, bytes of an image file, RGB arrays (uint8, HxWx3) or local paths"
)


OUTPUT: Final[dict[Task, str]] = {
    "detect": "a row per object; image: its place in the input; x1 y1 x2 y2: pixels of the image",
    "segment": "a row per object; image: its place in the input; x1 y1 x2 y2: pixels of the image; "
    "polygon: the outline as a list of [x, y], pixels",
    "pose": "a row per object; image: its place in the input; x1 y1 x2 y2: pixels of the image; "
    "keypoints: a list of [x, y], pixels, or [x, y, confidence]",
    "obb": "a row per object; image: its place in the input; x1 y1 to x4 y4: its corners in pixels",
    "classify": "a row per image and class, the most probable first; image: its place in the input; "
    "score: the probability",
}


PARAMS: Final[dict[str, tuple[str, float]]] = {
    "conf": ("double", 0.25),
    "iou": ("double", 0.7),
    "max_det": ("long", 300),
}


PARAMS_OF_CLASSES: Final[dict[str, tuple[str, float]]] = {"top": ("long", 5)}


def of(task: Task) -> Any:
    """Write MLflow's signature of the model."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
    from mlflow.types.schema import AnyType, Array

    types = {name: DataType[name] for name in ("long", "double", "string")}
    types["points"] = Array(Array(DataType.double))
    params = PARAMS_OF_CLASSES if task == "classify" else PARAMS
    signature = ModelSignature(
        inputs=Schema([ColSpec(AnyType())]),
        outputs=Schema([ColSpec(types[kind], name) for name, kind in COLUMNS[task].items()]),
        params=ParamSchema(
            [ParamSpec(name, types[kind], default) for name, (kind, default) in params.items()]
        ),
    )
    signature._is_signature_from_type_hint = True  # so a list reaches `predict` as it is, arrays too
    return signature
