"""Open a file of weights for prediction: a checkpoint, or what Ultralytics exported from one."""

from __future__ import annotations

import ast
import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple

from ultralytics import YOLO
from ultralytics.nn.backends.base import BaseBackend
from ultralytics.nn.tasks import YOLOEModel
from ultralytics.utils.checks import check_imgsz

from pipeline.core.errors import UserError, describe_missing_module
from pipeline.core.machine_errors import describe_machine_error
from pipeline.core.tasks import TASKS, Task
from pipeline.storage.scratch_folder import create_scratch_folder
from pipeline.storage.verified_copy import temporary_copy
from pipeline.yolo.inference.class_names import list_class_names
from pipeline.yolo.inference.torchscript_code import is_torchscript, require_tensor_code

_ADVICE: Final[Mapping[str, str]] = {"evaluate": "run finetune again"}
_OTHER_ADVICE: Final = "name a checkpoint of Ultralytics (.pt) or a file that `finetrack export` wrote"


class ExportFacts(NamedTuple):
    """What an exported file says about itself.

    Attributes:
        task: Its task.
        names: Class names by index.
        imgsz: Height and width in pixels that it takes; None if it takes any.
        batch: Images that it takes at a time; None if it takes any number.
        exported_at: Height and width that it was exported with, also where it takes any.
    """

    task: Task
    names: tuple[str, ...]
    imgsz: tuple[int, int] | None
    batch: int | None
    exported_at: tuple[int, int]


def is_checkpoint(weights: Path) -> bool:
    """Tell by its name whether a file is a checkpoint of PyTorch; else it was exported."""
    return weights.suffix.lower() == ".pt"


def read_export_facts(weights: Path, stage: str = "predict") -> ExportFacts:
    """Read what an exported file says about itself, without loading its model.

    Args:
        weights: Such as best.onnx, best.torchscript or the folder best_openvino_model.
        stage: The stage that uses it: errors advise by it.

    Raises:
        UserError: It does not exist, or is no file that Ultralytics exported for one of the tasks here.
    """
    if not weights.exists():
        raise UserError(f"there is no {weights}: {choose_advice(stage)}")
    try:
        found = {key: _parse_value(value) for key, value in BaseBackend.read_metadata(weights).items()}
        dynamic = bool(found.get("args", {}).get("dynamic"))
        height, width = check_imgsz(found["imgsz"], stride=1, min_dim=2)
        facts = ExportFacts(
            _require_known_task(str(found["task"]), weights),
            list_class_names(found["names"]),
            None if dynamic else (height, width),
            None if dynamic else int(found.get("batch", 1)),
            (height, width),
        )
    except UserError:
        raise
    except Exception:  # a foreign file can make the readers raise anything
        raise UserError(
            f"{weights} does not say its task and classes, as files exported by Ultralytics do: "
            f"{choose_advice(stage)}"
        ) from None
    return facts


def _parse_value(value: Any) -> Any:
    """Parse the lists, maps and numbers that some formats store as text; other text stays as it is."""
    with suppress(ValueError, SyntaxError):
        return ast.literal_eval(value)
    return value


def load_checkpoint_model(weights: Path, task: Task | None, stage: str) -> Any:
    """Load a checkpoint with Ultralytics, without running code from it.

    Args:
        weights: The file.
        task: The task that it must have; None for any.
        stage: The stage that uses it: errors advise by it.

    Raises:
        UserError: It is no checkpoint, one of another task, or one that knows no classes.
    """
    with temporary_copy(weights) as copy:
        try:
            model = YOLO(copy, task=task)
        except Exception as error:  # a foreign or truncated file can make torch raise anything
            if describe_machine_error(error):  # such as too little memory: it says nothing about the file
                raise
            reason = str(error).strip().split("\n", 1)[0].replace(copy, weights.name)
            raise UserError(
                f"{weights} cannot be loaded as a checkpoint ({reason}): {choose_advice(stage)}"
            ) from error
    require_task(_require_known_task(model.task, weights), task, weights, stage=stage)
    if isinstance(model.model, YOLOEModel) and not has_own_classes(model.model):
        raise UserError(
            f"{weights} finds classes by words, and has none of its own: "
            "`finetrack zero-shot FILE` asks it for those of the data"
        )
    return model


def has_own_classes(model: Any) -> bool:
    """Tell whether a model of YOLOE finds classes of its own: some were set in it, or it is prompt-free."""
    return getattr(model, "pe", None) is not None or are_classes_final(model)


def are_classes_final(model: Any) -> bool:
    """Tell whether a model of YOLOE can be asked for no other classes: its own ones are in its layers."""
    head = model.model[-1]
    return hasattr(head, "lrpc") or bool(head.is_fused)


@contextmanager
def open_exported_model(weights: Path, task: Task, stage: str) -> Iterator[Any]:
    """Yield Ultralytics' model of an exported file; the file is read at the first prediction, in the block.

    Args:
        weights: The file or folder.
        task: Its task.
        stage: The stage that uses it: errors advise by it.

    Raises:
        UserError: It cannot be loaded, or a package that it needs is not installed.
    """
    with _copy_export(weights) as copy, warnings.catch_warnings():
        if is_torchscript(Path(copy)):
            require_tensor_code(Path(copy), name=str(weights))
        warnings.filterwarnings("ignore", message=".*torch.jit", category=FutureWarning)  # .torchscript
        try:
            yield YOLO(copy, task=task)
        except UserError:
            raise
        except ModuleNotFoundError as error:
            raise UserError(f"{weights} needs a package: {describe_missing_module(error)}") from error
        except Exception as error:  # each backend raises errors of its own
            if describe_machine_error(error):
                raise
            reason = (
                (str(error).strip() or type(error).__name__).split("\n", 1)[0].replace(copy, weights.name)
            )
            raise UserError(f"{weights} cannot be loaded ({reason}): {choose_advice(stage)}") from error


def require_task(found: Task, wanted: Task | None, weights: Path, *, stage: str) -> None:
    """Check that weights are for a task.

    Raises:
        UserError: They are for another one.
    """
    if wanted not in {None, found}:
        raise UserError(
            f"{weights} was trained for {found}, but the data is for {wanted}: {choose_advice(stage)}"
        )


def choose_advice(stage: str) -> str:
    """Return what a user can do about weights that cannot be used."""
    return _ADVICE.get(stage, _OTHER_ADVICE)


def _require_known_task(task: str, weights: Path) -> Task:
    for known in TASKS:
        if task == known:
            return known
    raise UserError(
        f"{weights} is for the task {task}, which is not supported: choose one of {', '.join(TASKS)}"
    )


@contextmanager
def _copy_export(weights: Path) -> Iterator[str]:
    """Yield a copy with a plain name, as `temporary_copy` does; a folder keeps the end of its name."""
    if weights.is_file():
        with temporary_copy(weights) as copy:
            yield copy
        return
    with TemporaryDirectory(dir=create_scratch_folder("weights"), prefix="loading-") as folder:
        kind = "_".join(weights.name.rsplit("_", 2)[1:])  # best_openvino_model: openvino_model
        copied = shutil.copytree(weights, Path(folder) / f"weights_{kind}")
        yield str(copied)
