"""Load the readers of all annotation formats: pipeline/source/formats/NAME/reader.py."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Final, Protocol, cast

from pipeline.core.annotation_formats import ANNOTATION_FORMATS
from pipeline.source.types import ReadOptions, Source

READER_MODULE: Final = "pipeline.source.formats.{name}.reader"


class AnnotationFormat(Protocol):
    """What the reader module of a format defines."""

    @property
    def RECOGNIZED_BY(self) -> str:
        """Describe the files of this format in a few words.

        If they are JSON, XML, CSV or text files, the description says so: error messages use these words.
        """

    def matches_folder(self, folder: Path) -> bool:
        """Check file names and the beginnings of a few files: does the folder hold this format?"""

    def read_folder(self, folder: Path, options: ReadOptions = ..., /) -> Source:
        """Read the annotations of a folder.

        Raises:
            UserError: The folder cannot be read as this format.
        """


@cache
def load_formats() -> Mapping[str, AnnotationFormat]:
    """Import the readers of all formats; the first format that matches a folder reads it.

    They are imported here and not at the top: a stage that draws its images needs none of them.
    """
    return {name: _import_reader(name) for name in ANNOTATION_FORMATS}


def _import_reader(name: str) -> AnnotationFormat:
    return cast("AnnotationFormat", import_module(READER_MODULE.format(name=name)))
