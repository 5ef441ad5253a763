"""Ask a YOLOE checkpoint for classes, and keep the answerer as a checkpoint that every command can use.

The words for the classes become embeddings, and these become the last layers of an ordinary network of the
same family: that of yoloe-11s-seg.pt is YOLO11s. It needs no text encoder any more, and can be trained.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch
from ultralytics import __version__
from ultralytics.nn.tasks import YOLOEModel

from pipeline.core.errors import UserError
from pipeline.core.tasks import Task
from pipeline.storage.files import hash_file
from pipeline.yolo.inference.model_file import are_classes_final, has_own_classes
from pipeline.yolo.weights import AssetKind, find_asset, load_weights
from pipeline.yolo.zero_shot.plain_model import build_plain_model
from pipeline.yolo.zero_shot.text_encoder import DEFAULT_TEXT_MODEL, encode_words

PROMPTED_TASKS: Final[tuple[Task, ...]] = ("detect", "segment")
_ADVICE: Final = (
    "give zero_shot.weights a path, name a folder that holds it in model.folder, or set it to null"
)
ORIGIN: Final = "zero_shot"
"""The entry of a written checkpoint that says which weights, words and text encoder made it."""
_KEPT_ARGUMENTS: Final = ("imgsz", "max_det")  # not single_cls: it is asked for classes, which are not merged


class ClassPrompts(NamedTuple):
    """The classes that a model is asked for.

    Attributes:
        names: Class names by index, as in the data.
        words: What the model is asked for, for each class; all different.
    """

    names: tuple[str, ...]
    words: tuple[str, ...]


def choose_prompts(names: Sequence[str], words: Mapping[str, str]) -> ClassPrompts:
    """Choose what a model is asked for: the words of the user for a class, else its name.

    Args:
        names: Class names by index.
        words: Words by class name (zero_shot.prompts).

    Raises:
        UserError: A class is unknown, or two classes have the same words.
    """
    unknown = [name for name in words if name not in names]
    if unknown:
        raise UserError(
            f"zero_shot.prompts has words for {unknown[0]}, which is no class of the data: "
            f"its classes are {', '.join(names)}"
        )
    chosen = tuple(words.get(name, name) for name in names)
    word, count = Counter(chosen).most_common(1)[0]
    if count > 1:
        raise UserError(f"{count} classes would be asked for as {word}: give each its own zero_shot.prompts")
    return ClassPrompts(tuple(names), chosen)


def find_promptable(weights: str, folder: str | None) -> Path:
    """Find a checkpoint of YOLOE. Official ones are downloaded where they are not on this machine.

    Args:
        weights: A path, or a name such as yoloe-11s-seg.pt (zero_shot.weights).
        folder: A folder of weights, or None.

    Raises:
        UserError: It was not found.
    """
    return find_asset(weights, folder, AssetKind("weights of the zero-shot model", _ADVICE, load_promptable))


def is_promptable(weights: Path) -> bool:
    """Tell whether a file is a checkpoint of YOLOE."""
    try:
        return isinstance(load_weights(weights), YOLOEModel)
    except UserError:
        return False


def load_promptable(weights: Path) -> Any:
    """Load a checkpoint of YOLOE.

    Raises:
        UserError: It is no checkpoint, or one of another model.
    """
    model = load_weights(weights, advice=_ADVICE)
    if not isinstance(model, YOLOEModel):
        raise UserError(
            f"{weights} holds a {type(model).__name__}, which knows its own classes alone: "
            "name a checkpoint of YOLOE, such as yoloe-11s-seg.pt"
        )
    return model


def require_promptable(model: Any, task: Task, weights: Path) -> None:
    """Require that a model of YOLOE serves a task, and is not prompt-free, for whatever classes.

    Args:
        model: The model.
        task: That of the data; a segmentation model detects, too.
        weights: Its file, for messages.

    Raises:
        UserError: It does not, or it is.
    """
    _require_task(model, task, weights)
    if hasattr(model.model[-1], "lrpc"):  # prompt-free: it chooses objects before their classes
        _require_open(model, [*model.names.values()], weights)


def name_text_model(model: Any) -> str:
    """Return the text model that a model of YOLOE was trained with, such as mobileclip:blt."""
    return str(getattr(model, "text_model", DEFAULT_TEXT_MODEL))


def write_prompted_weights(
    weights: Path,
    target: Path,
    prompts: ClassPrompts,
    *,
    task: Task,
    find_encoder: Callable[[str], Path],
) -> bool:
    """Ask a checkpoint of YOLOE for classes, and write a checkpoint of an ordinary network that finds them.

    The encoder is not asked where the same words were set in the checkpoint before.

    Args:
        weights: The checkpoint.
        target: The checkpoint to write.
        prompts: The classes.
        task: That of the data; a segmentation model detects, too.
        find_encoder: Returns the file of a text model, such as mobileclip:blt; called only if it is needed.

    Returns:
        Whether it was asked; False where the classes were in it.

    Raises:
        UserError: The checkpoint cannot be asked for these classes, or not for this task.
    """
    model = load_promptable(weights)
    require_promptable(model, task, weights)
    known = tuple(model.names[index] for index in range(len(model.names)))
    is_asked = not (has_own_classes(model) and sorted(known) == sorted(prompts.words))
    if is_asked:
        _require_open(model, known, weights)
    origin: dict[str, Any] = {"weights_sha256": hash_file(weights)}
    if is_asked:
        encoder = find_encoder(name_text_model(model))
        _set_classes(model, prompts, encoder)
        origin |= {"text_model": name_text_model(model), "text_encoder_sha256": hash_file(encoder)}
    by_word = dict(zip(prompts.words, prompts.names, strict=True))
    names = prompts.names if is_asked else tuple(by_word[word] for word in known)
    origin["words"] = dict(zip(prompts.names, prompts.words, strict=True))
    checkpoint = _build_checkpoint(build_plain_model(model, names, task), model.args, task)
    torch.save({**checkpoint, ORIGIN: origin}, target)
    return is_asked


def _set_classes(model: Any, prompts: ClassPrompts, encoder: Path) -> None:
    head, found = model.model[-1], encode_words(encoder, prompts.words)
    if found.shape[2] != head.embed:
        raise UserError(
            f"{encoder} gives embeddings of {found.shape[2]} numbers, and the model takes {head.embed}: "
            "set zero_shot.text_encoder to the one that it was trained with"
        )
    with torch.no_grad():
        embeddings = head.get_tpe(found)
    model.set_classes(list(prompts.names), embeddings.clone())


def _require_task(model: Any, task: Task, weights: Path) -> None:
    if task not in PROMPTED_TASKS:
        raise UserError(
            f"zero-shot models find boxes and masks, and the data is for {task}: set zero_shot.weights=null"
        )
    if task == "segment" and model.task != "segment":
        raise UserError(
            f"{weights} finds boxes alone, and the data is for segment: name one that ends in -seg.pt"
        )


def _require_open(model: Any, known: Sequence[str], weights: Path) -> None:
    if are_classes_final(model):
        raise UserError(
            f"{weights} finds {_describe_classes(known)} and can be asked for no others: name a checkpoint "
            "without classes of its own, such as yoloe-11s-seg.pt"
        )


def _describe_classes(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 10 else f"{len(names)} classes of its own"


def _build_checkpoint(model: Any, arguments: Mapping[str, Any], task: Task) -> dict[str, Any]:
    """Return the contents of a checkpoint file as Ultralytics reads it."""
    kept = {name: arguments[name] for name in _KEPT_ARGUMENTS if name in arguments} | {"task": task}
    model.task, model.args = task, kept
    return {"model": model, "ema": None, "train_args": kept, "version": __version__}
