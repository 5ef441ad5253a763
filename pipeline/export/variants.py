"""The variants of an export: every combination of the formats, precisions and NMS that were asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import NamedTuple, cast

from pipeline.core.errors import UserError
from pipeline.core.tasks import Task
from pipeline.yolo.exporting.formats import (
    FORMATS,
    NMS_VARIANTS,
    PRECISIONS,
    NmsVariant,
    Precision,
    find_format,
)


class ExportVariant(NamedTuple):
    """One file to export.

    Attributes:
        format: A name in `FORMATS`.
        precision: One that the format has.
        nms: One that the format has; of classify `outside`.
        dynamic: Whether it takes images of any size and number.
    """

    format: str
    precision: Precision
    nms: NmsVariant
    dynamic: bool = False

    @property
    def name(self) -> str:
        """In tables, and in MLflow: such as onnx-fp16, onnx-int8-nms-free or onnx-fp16-dynamic."""
        return f"{self.format}-{self._describe()}"

    def name_file(self, stem: str) -> str:
        """Return the name of its file or folder, such as bottles-fp16.onnx."""
        return f"{stem}-{self._describe()}{FORMATS[self.format].suffix}"

    def _describe(self) -> str:
        nms = "" if self.nms == "outside" else f"-nms-{self.nms}"
        return f"{self.precision}{nms}{'-dynamic' if self.dynamic else ''}"


def plan_variants(formats: str, precisions: str, nms: str, *, dynamic: bool = False) -> list[ExportVariant]:
    """Return every combination of formats, precisions and NMS, each of them a list with commas.

    Args:
        formats: Such as onnx,openvino.
        precisions: Such as fp32,fp16.
        nms: Such as outside,free.
        dynamic: Whether the files take images of any size and number.

    Raises:
        UserError: There is no such format, precision or NMS, or a format has not that precision or NMS, or
            takes images of one size only.
    """
    names = [find_format(name) for name in _split(formats, "--format")]
    wanted = (
        [cast("Precision", one) for one in _split_known(precisions, PRECISIONS, "--precision")],
        [cast("NmsVariant", one) for one in _split_known(nms, NMS_VARIANTS, "--nms")],
    )
    variants = [ExportVariant(*one, dynamic) for one in product(dict.fromkeys(names), *wanted)]
    for variant in variants:
        _require_possible(variant)
    return variants


def require_task_variants(variants: Sequence[ExportVariant], task: Task) -> None:
    """Check that the variants are possible for a task.

    Raises:
        UserError: NMS is asked for, and the task has none.
    """
    other = next((variant.nms for variant in variants if variant.nms != "outside"), None)
    if task == "classify" and other:
        raise UserError(f"--nms {other} is not possible: a model of classify has no boxes, and no NMS")


def _require_possible(variant: ExportVariant) -> None:
    known = FORMATS[variant.format]
    if variant.precision not in known.precisions:
        raise UserError(
            f"--format {variant.format} has no --precision {variant.precision}: "
            f"use {' or '.join(known.precisions)}"
        )
    if variant.dynamic and not known.dynamic:
        raise UserError(
            f"--format {variant.format} has no --dynamic: its files take images of one size; leave it out"
        )
    possible = list(_iterate_nms(variant.format))
    if variant.nms not in possible:
        raise UserError(f"--format {variant.format} has no --nms {variant.nms}: use {' or '.join(possible)}")


def _iterate_nms(name: str) -> Iterator[NmsVariant]:
    yield "outside"
    if FORMATS[name].graph:
        yield "graph"
    if FORMATS[name].free:
        yield "free"


def _split_known(text: str, known: Sequence[str], flag: str) -> list[str]:
    words = _split(text, flag)
    for word in words:
        if word not in known:
            raise UserError(f"{flag} {word} is not known: choose from {', '.join(known)}")
    return words


def _split(text: str, flag: str) -> list[str]:
    words = list(dict.fromkeys(word.strip().lower() for word in text.split(",") if word.strip()))
    if not words:
        raise UserError(f"{flag} is empty: name at least one")
    return words
