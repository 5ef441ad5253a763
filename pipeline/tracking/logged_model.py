"""Save the best weights as an MLflow model beside the outbox messages, and upload it with them."""

from __future__ import annotations

import base64
import contextlib
import io
import re
import warnings
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import yaml
from PIL import Image, ImageOps

from pipeline.core.tasks import Task
from pipeline.tracking.client import MlflowClientCache
from pipeline.tracking.dataset_input import get_dataset_reference
from pipeline.tracking.outbox import OutboxMessage

REQUIRED_PACKAGES: Final = (
    "mlflow",
    "ultralytics",
    "torch",
    "torchvision",
    "opencv-python",
    "opencv-python-headless",
    "numpy",
    "pandas",
)
"""Packages that serving needs; those that are installed are pinned in the model's requirements."""
MAX_EXAMPLE_SIDE: Final = 640
"""Pixels of the input example."""
SERVED_MODEL_FILE: Final = Path(__file__).with_name("served_model.py")
"""The code that loads the weights and predicts; it is copied into the model."""


def save_model(folder: Path, weights: Path, example: Path, *, task: Task = "detect") -> None:
    """Save a pyfunc model with code, weights, pinned requirements, signature and input example.

    Signature and requirements are given, so that MLflow neither predicts with the model nor starts a process
    that imports it.

    Args:
        folder: The new folder of the model.
        weights: An Ultralytics checkpoint.
        example: An image, which is stored in the model as base64 text.
        task: The task of the weights.
    """
    with warnings.catch_warnings(action="ignore"):  # MLflow warns about a type hint of its own
        from mlflow.pyfunc import save_model as save_pyfunc_model

    save_pyfunc_model(
        str(folder),
        python_model=str(SERVED_MODEL_FILE),
        artifacts={"weights": weights.absolute().as_uri()},
        signature=build_signature(task),
        input_example=[_encode_example(example)],
        pip_requirements=list(_iterate_requirements()),
        metadata={"task": task, "input": INPUT_DESCRIPTION, "output": OUTPUT_DESCRIPTIONS[task]},
        streamable=False,
    )
    _adjust_description(folder)


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


def upload_model(store: MlflowClientCache, run_id: str, message: OutboxMessage, folder: Path) -> None:
    """Upload a saved model as a logged model of its run, with the run's parameters and the given metrics."""
    from mlflow.entities import LoggedModelOutput, Metric

    saved = _read_model(folder)
    client, run = store.client, store.client.get_run(run_id)
    logged = _find_logged_model(store, message["id"]) or client.create_logged_model(
        store.experiment,
        name=make_model_name(run.info.run_name),
        source_run_id=run_id,
        params=run.data.params,
        model_type=saved.metadata["task"],
        tags={"finetrack.model": message["id"]},
    )
    _write_ids(folder, logged, run_id)
    client.log_model_artifacts(logged.model_id, str(folder))
    outputs = run.outputs.model_outputs if run.outputs else []
    if logged.model_id not in {output.model_id for output in outputs}:
        client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
    references = {"model_id": logged.model_id} | get_dataset_reference(run)
    metrics = [
        Metric(name, value, message["time"], 0, **references) for name, value in message["values"].items()
    ]
    client.log_batch(run_id, metrics=metrics)
    client.set_logged_model_tags(logged.model_id, _describe_model(logged.model_id, run, saved))
    client.finalize_logged_model(logged.model_id, "READY")


def make_model_name(name: str) -> str:
    """Make a legal model name: MLflow does not allow `/ : . % " '` in it."""
    return re.sub(r"[/:.%\"']+", "-", name).strip("- ") or "detector"


def _describe_model(model_id: str, run: Any, saved: Any) -> dict[str, str]:
    """Return the tags of the model's page: how to use it, and who trained it."""
    param = saved.signature.params.params[0]
    params = f'{{"{param.name}": {param.default}}}'
    usage = f'mlflow.pyfunc.load_model("models:/{model_id}").predict(["part.jpg"], params={params})'
    data = "Input: {input}. Output: {output}.".format(**saved.metadata)
    note = f"```python\n{usage}\n```\n\n{data}"
    origin = ("mlflow.user", "mlflow.source.name", "mlflow.source.type")
    known = {name: run.data.tags[name] for name in origin if name in run.data.tags}
    return known | {"mlflow.note.content": note}


def _find_logged_model(store: MlflowClientCache, message_id: str) -> Any:
    condition = f"tags.`finetrack.model` = '{message_id}'"
    return next(iter(store.client.search_logged_models([store.experiment], filter_string=condition)), None)


def _write_ids(folder: Path, logged: Any, run_id: str) -> None:
    """Write the ids of the logged model and of its run into the saved model."""
    saved = _read_model(folder)
    saved.model_id = saved.model_uuid = logged.model_id
    saved.run_id, saved.artifact_path = run_id, logged.artifact_location
    saved.save(str(folder / "MLmodel"))


def _read_model(folder: Path) -> Any:
    """Read the MLmodel file. `Model.load` does not find it in folders with names such as `50%20off`."""
    from mlflow.models import Model

    return Model.from_dict(yaml.safe_load((folder / "MLmodel").read_text()))


def _encode_example(file: Path) -> str:
    """Return an image as base64 text of a JPEG, scaled down where it is large."""
    with Image.open(file) as opened:
        image = ImageOps.exif_transpose(opened).convert("RGB")
    image.thumbnail((MAX_EXAMPLE_SIDE, MAX_EXAMPLE_SIDE))
    data = io.BytesIO()
    image.save(data, "JPEG", quality=90)
    return base64.b64encode(data.getvalue()).decode()


_BOX: Final = dict.fromkeys(("x1", "y1", "x2", "y2", "score"), "double")


_CLASS: Final = {"class": "long", "name": "string"}


OUTPUT_COLUMNS: Final[dict[Task, dict[str, str]]] = {
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
"""Columns of a prediction and their types; points are lists of lists of numbers."""


INPUT_DESCRIPTION: Final = (
    "a list of images: base64 text, bytes of an image file, RGB arrays (uint8, HxWx3) or local paths"
)


OUTPUT_DESCRIPTIONS: Final[dict[Task, str]] = {
    "detect": "a row per object; image: its place in the input; x1 y1 x2 y2: pixels of the image",
    "segment": "a row per object; image: its place in the input; x1 y1 x2 y2: pixels of the image; "
    "polygon: the outline as a list of [x, y], pixels",
    "pose": "a row per object; image: its place in the input; x1 y1 x2 y2: pixels of the image; "
    "keypoints: a list of [x, y], pixels, or [x, y, confidence]",
    "obb": "a row per object; image: its place in the input; x1 y1 to x4 y4: its corners in pixels",
    "classify": "a row per image and class, the most probable first; image: its place in the input; "
    "score: the probability",
}


PREDICT_PARAMS: Final[dict[str, tuple[str, float]]] = {
    "conf": ("double", 0.25),
    "iou": ("double", 0.7),
    "max_det": ("long", 300),
}
"""Types and defaults of the arguments of a prediction."""


CLASSIFY_PARAMS: Final[dict[str, tuple[str, float]]] = {"top": ("long", 5)}


def build_signature(task: Task) -> Any:
    """Build MLflow's signature of the model: inputs, output columns and parameters."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
    from mlflow.types.schema import AnyType, Array

    types = {name: DataType[name] for name in ("long", "double", "string")}
    types["points"] = Array(Array(DataType.double))
    params = CLASSIFY_PARAMS if task == "classify" else PREDICT_PARAMS
    return ModelSignature(
        inputs=Schema([ColSpec(AnyType())]),
        outputs=Schema([ColSpec(types[kind], name) for name, kind in OUTPUT_COLUMNS[task].items()]),
        params=ParamSchema(
            [ParamSpec(name, types[kind], default) for name, (kind, default) in params.items()]
        ),
    )
