"""Export a checkpoint with Ultralytics' exporters, and check that the file is what was asked for."""

from __future__ import annotations

import ast
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from ultralytics import YOLO
from ultralytics.engine.exporter import Exporter
from ultralytics.nn.backends.base import BaseBackend

from pipeline.core.errors import UserError, describe_missing_module
from pipeline.core.machine_errors import describe_machine_error
from pipeline.runtime.environment import is_debug_log
from pipeline.storage.verified_copy import copy_verified
from pipeline.yolo.exporting.calibration import CalibrationBatches
from pipeline.yolo.exporting.formats import FORMATS, NmsVariant, Precision
from pipeline.yolo.inference.class_names import read_class_names
from pipeline.yolo.ultralytics_environment import limit_ultralytics_log

_QUANTIZE: Final[Mapping[Precision, int]] = {"fp32": 32, "fp16": 16, "int8": 8}
_NMS: Final[Mapping[NmsVariant, bool | None]] = {"graph": True, "outside": None, "free": False}


class ExportRequest(NamedTuple):
    """What to export.

    Attributes:
        format: A name in `FORMATS`.
        precision: One that the format has.
        nms: One that the format has; of classify `outside`.
        imgsz: Height and width in pixels.
        conf: The least score of a box, of NMS in the graph.
        iou: The threshold of NMS in the graph.
        max_det: The largest number of boxes of an image, of NMS in the graph and of the NMS-free head.
        dynamic: Whether the file takes images of any size and number.
        device: Where the exporter runs; None for the CPU, or the GPU of a format that needs one.
        calibration: Images for int8.
    """

    format: str
    precision: Precision
    nms: NmsVariant
    imgsz: int
    conf: float
    iou: float
    max_det: int
    dynamic: bool = False
    device: str | int | None = None
    calibration: Sequence[Path] = ()


class _CalibratedExporter(Exporter):  # type: ignore[misc]
    """Ultralytics' exporter with other calibration images: no data YAML, and no cache beside the labels."""

    calibration: Sequence[Path] = ()
    class_names: Sequence[str] = ()

    def get_int8_calibration_dataloader(self, _prefix: str = "") -> Any:
        """Return the calibration images in batches."""
        return CalibrationBatches(
            self.calibration, tuple(self.imgsz), batch=self.args.batch, task=self.model.task
        )


def export_weights(weights: Path, folder: Path, request: ExportRequest, *, sha256: str | None = None) -> Path:
    """Export a checkpoint.

    Args:
        weights: An Ultralytics checkpoint; no code from it is run.
        folder: An empty folder of the project, with a plain name; Ultralytics writes into it.
        request: See `ExportRequest`.
        sha256: What the checkpoint must have; None for any.

    Returns:
        The exported file or folder, below `folder`.

    Raises:
        UserError: It changed, it cannot be exported so, or Ultralytics exported another variant.
    """
    limit_ultralytics_log()
    copy = copy_verified(weights, folder / "weights.pt", sha256=sha256)
    with _explain_export_errors(request), _hide_warnings():
        model = YOLO(copy)
        _require_head(model.model, request)
        exporter = _CalibratedExporter(overrides=_build_arguments(model, request), _callbacks=model.callbacks)
        exporter.calibration, exporter.class_names = request.calibration, read_class_names(model)
        exporter.add_callback("on_export_start", _keep_class_names)
        exported = folder / Path(exporter(model=model.model)).name
    (folder / "weights.pt").unlink()
    require_variant(BaseBackend.read_metadata(exported), request)
    return exported


def _keep_class_names(exporter: Any) -> None:
    """Name the classes as the checkpoint does: Ultralytics has replaced codes of ImageNet by words."""
    exporter.metadata["names"] = exporter.model.names = dict(enumerate(exporter.class_names))


def _build_arguments(model: Any, request: ExportRequest) -> dict[str, Any]:
    """Return the arguments of Ultralytics' exporter."""
    known = FORMATS[request.format]
    arguments: dict[str, Any] = {
        **model.overrides,
        "mode": "export",
        "format": request.format,
        "quantize": _QUANTIZE[request.precision],
        "nms": _NMS[request.nms] if model.task != "classify" else None,
        "imgsz": request.imgsz,
        "conf": request.conf,
        "iou": request.iou,
        "max_det": request.max_det,
        "device": request.device,
        "batch": 1,
        "data": "val" if known.calibrates and request.precision == "int8" else None,
        "verbose": False,
    }
    return arguments | ({"dynamic": True} if request.dynamic else {})


def _require_head(model: Any, request: ExportRequest) -> None:
    """Check that a model has the head that is exported: Ultralytics would take another one instead."""
    head = model.model[-1]
    has_free = getattr(head, "one2one_cv2", None) is not None
    if request.nms == "free" and not has_free:
        raise UserError("the model has no NMS-free head, as YOLO26 has: use --nms outside or graph")
    if request.nms != "free" and has_free and head.cv2 is None:
        raise UserError("the weights have the NMS-free head alone: use --nms free")


def require_variant(facts: Mapping[str, Any], request: ExportRequest) -> None:
    """Check what a file says about itself: Ultralytics replaces what a format cannot do with a warning alone.

    Args:
        facts: As Ultralytics reads them; empty of a format whose files say nothing.
        request: What was asked for.

    Raises:
        UserError: It is another variant.
    """
    if not facts:
        return
    arguments, is_free = _parse_fact(facts.get("args")) or {}, bool(_parse_fact(facts.get("end2end")))
    found = "free" if is_free else "graph" if arguments.get("nms") else "outside"
    if found != request.nms and facts.get("task") != "classify":
        raise UserError(
            f"Ultralytics exported {request.format} with --nms {found} instead of {request.nms}: "
            f"use --nms {found}"
        )
    bits = arguments.get("quantize")
    if bits is not None and bits != _QUANTIZE[request.precision]:
        raise UserError(
            f"Ultralytics exported {request.format} with quantize={bits} instead of {request.precision}: "
            "use another --precision"
        )


def _parse_fact(value: Any) -> Any:
    """Parse what some formats store as text."""
    return ast.literal_eval(value) if isinstance(value, str) else value


@contextmanager
def _explain_export_errors(request: ExportRequest) -> Iterator[None]:
    """Turn the errors of an exporter into UserError; each exporter raises others."""
    try:
        yield
    except UserError:
        raise
    except ModuleNotFoundError as error:
        raise UserError(f"--format {request.format}: {describe_missing_module(error)}") from error
    except Exception as error:
        if describe_machine_error(error):  # such as a full disk: it says nothing about the format
            raise
        reason = (str(error).strip() or type(error).__name__).split("\n", 1)[0]
        raise UserError(
            f"{request.format} ({request.precision}, NMS {request.nms}) could not be exported: {reason}"
        ) from error


@contextmanager
def _hide_warnings() -> Iterator[None]:
    """Hide what exporters say about their own code; Ultralytics logs an error that is raised anyway."""
    if is_debug_log():
        yield
        return
    root, silent = logging.getLogger(), logging.NullHandler()
    root.addHandler(silent)  # else the first message of a library gives the root logger a handler of its own
    disabled = root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(disabled)
        root.removeHandler(silent)
