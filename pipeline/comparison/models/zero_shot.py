"""Let a checkpoint that finds classes by words be compared: it is asked for the classes of the data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

from pipeline.comparison.models.prepared_data import open_prepared_data
from pipeline.comparison.models.training_images import remark_on_training_images
from pipeline.config.automatic import AUTOMATIC
from pipeline.config.schema import Config
from pipeline.core.errors import UserError
from pipeline.core.paths import PREPARED_FOLDER
from pipeline.dataset.prepared import read_manifest
from pipeline.dataset.stored_predictions import StoredPredictions
from pipeline.iterations.inference_settings import choose_measuring_settings, find_imgsz
from pipeline.iterations.iteration import Iteration
from pipeline.iterations.predict_split import PreparedData, SplitPredictor
from pipeline.iterations.weights_file import hash_path, read_weights_file
from pipeline.storage.scratch_folder import create_scratch_folder
from pipeline.yolo.inference.model_file import has_own_classes, is_checkpoint
from pipeline.yolo.zero_shot.prompted_weights import (
    ClassPrompts,
    choose_prompts,
    find_promptable,
    is_promptable,
    load_promptable,
    require_promptable,
    write_prompted_weights,
)
from pipeline.yolo.zero_shot.text_encoder import find_text_encoder, import_tokenizer

ZERO_SHOT: Final = "zero-shot"
"""The reference of the model that zero_shot.weights names."""


class AskedModel(NamedTuple):
    """A model that is ready to predict on the data.

    Attributes:
        iteration: With the SHA-256 of the file.
        weights: Its file.
        remarks: What it was asked for, or that its classes were set before, in a sentence; empty for a model
            that has classes of its own alone.
        is_asked: Whether it was asked.
    """

    iteration: Iteration
    weights: Path
    remarks: tuple[str, ...] = ()
    is_asked: bool = False


def find_zero_shot_weights(config: Config) -> Path:
    """Find the checkpoint that zero_shot.weights names.

    Raises:
        UserError: It names none, or the file is not there.
    """
    if config.zero_shot.weights is None:
        raise UserError(
            "zero_shot.weights names no model: set it to a checkpoint of YOLOE, such as yoloe-11s-seg.pt"
        )
    return find_promptable(config.zero_shot.weights, config.model.folder)


def ask_for_classes(model: AskedModel, data: PreparedData, config: Config, *, target: Path) -> AskedModel:
    """Ask a checkpoint of YOLOE for the classes of the data; another model stays as it is.

    Args:
        model: With its file as it is.
        data: Names the classes and the task.
        config: `zero_shot` and `model.folder` are used.
        target: The checkpoint to write, which has the classes.

    Raises:
        UserError: It cannot be asked for them.
    """
    file = model.weights
    if model.iteration.file is None or not is_checkpoint(file) or not is_promptable(file):
        return model
    prompts = choose_prompts(data.manifest.names, config.zero_shot.prompts)
    target.parent.mkdir(parents=True, exist_ok=True)
    is_asked = write_prompted_weights(
        file,
        target,
        prompts,
        task=data.manifest.task,
        find_encoder=_prepare_encoder_search(config, file),
    )
    iteration = replace(model.iteration, file=target, sha256=hash_path(target))
    words = ", ".join(prompts.words)
    remark = (
        f"{iteration.label} finds the classes by words, without training: {words}"
        if is_asked
        else f"the classes of {iteration.label} were set before, so that it was not asked for them: "
        "whether it was trained on images of them, such as these, is not known"
    )
    return AskedModel(iteration, target, (remark,), is_asked=is_asked)


class WrittenModel(NamedTuple):
    """A model without training that was written to a file.

    Attributes:
        label: The file that was asked.
        words: What it was asked for, by class.
        is_asked: Whether it was; else these classes were set in it before.
    """

    label: str
    words: dict[str, str]
    is_asked: bool


def write_zero_shot_weights(config: Config, target: Path) -> WrittenModel:
    """Ask the model of zero_shot.weights for the classes of data/prepared, and write it as a checkpoint.

    Args:
        config: `zero_shot` and `model.folder` are used.
        target: The file to write.

    Raises:
        UserError: It cannot be asked, or there is no prepared data.
    """
    data, file = PreparedData(read_manifest(PREPARED_FOLDER)), find_zero_shot_weights(config)
    load_promptable(file)  # another model would stay as it is
    found = AskedModel(read_weights_file(str(file)), file)
    asked = ask_for_classes(found, data, config, target=target)
    return WrittenModel(found.iteration.label, _list_words(data, config), asked.is_asked)


def _list_words(data: PreparedData, config: Config) -> dict[str, str]:
    prompts = choose_prompts(data.manifest.names, config.zero_shot.prompts)
    return dict(zip(prompts.names, prompts.words, strict=True))


class ZeroShotPredictions(NamedTuple):
    """What a model without training found.

    Attributes:
        label: Its file.
        sha256: Of the file.
        words: What it was asked for, by class.
        test: Its predictions on the test split.
        remarks: What a reader has to know, a sentence each.
    """

    label: str
    sha256: str
    words: dict[str, str]
    test: StoredPredictions
    remarks: tuple[str, ...]


def predict_zero_shot(config: Config, revision: str, folder: Path, *, stage: str) -> ZeroShotPredictions:
    """Let the model of zero_shot.weights predict on the test images of a revision, as `evaluate` measures.

    Args:
        config: `zero_shot`, `model.folder`, `evaluate`, and of `finetune` device and threads are used.
        revision: Whose prepared data is used; see `open_prepared_data`.
        folder: Receives data and predictions; it stays as long as they are used.
        stage: The command, for messages.

    Raises:
        UserError: The model cannot be asked for the classes, or the data cannot be had.
    """
    data, file = open_prepared_data(revision, folder / "data"), find_zero_shot_weights(config)
    found = AskedModel(read_weights_file(str(file)), file)
    asked = ask_for_classes(found, data, config, target=folder / "asked.pt")
    imgsz = find_imgsz(asked.iteration, asked.weights, stage=stage)
    settings = choose_measuring_settings(config, imgsz, data.manifest.task)
    with SplitPredictor(asked.iteration, asked.weights, data, settings=settings, stage=stage) as predictor:
        test = predictor.predict_split("test", folder / "predictions")
    images = [item.sha256 for item in data.manifest.in_split("test")]
    seen = remark_on_training_images(
        found.iteration, images, data=data.manifest.digest, name="the training data"
    )
    words, sha256 = _list_words(data, config), hash_path(file)
    return ZeroShotPredictions(found.iteration.label, sha256, words, test, (*asked.remarks, *seen))


def require_zero_shot(config: Config) -> None:
    """Check that the model of zero_shot.weights can be asked, before anything takes time.

    Args:
        config: `zero_shot` and `model.folder` are used.

    Raises:
        UserError: It, its text encoder, or a package is not there, or they do not fit one another.
    """
    file = find_zero_shot_weights(config)
    model, task = load_promptable(file), config.data.task
    require_promptable(model, "detect" if task == AUTOMATIC else task, file)
    if has_own_classes(model):
        return
    import_tokenizer()
    trial = ClassPrompts(("object",), ("object",))
    with TemporaryDirectory(dir=create_scratch_folder("weights"), prefix="zero-shot-") as folder:
        find_encoder = _prepare_encoder_search(config, file)
        write_prompted_weights(
            file, Path(folder) / "trial.pt", trial, task="detect", find_encoder=find_encoder
        )


def _prepare_encoder_search(config: Config, weights: Path) -> Callable[[str], Path]:
    """Return what finds the file of a text model for a checkpoint."""
    wanted, folder = config.zero_shot.text_encoder, config.model.folder
    return partial(find_text_encoder, wanted=wanted, weights=weights, folder=folder)
