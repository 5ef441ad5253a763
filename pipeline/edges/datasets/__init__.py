"""Annotation formats, one module each: a folder -> what its annotations say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pipeline.core.refusal import Refused
from pipeline.edges.datasets.source import Annotated as Annotated
from pipeline.edges.datasets.source import Source as Source


def read(form: str, folder: Path) -> Source:
    """Read a source; it is never written to.

    Args:
        form: yolo, coco or voc.
        folder: The source folder.

    Raises:
        Refused: There is no such folder, or nothing in it that this format can be read from.
    """
    if not folder.is_dir():
        raise Refused(
            f"data.source={folder} is not a folder: set it to the folder that holds the {form} dataset"
        )
    source = _reader(form)(folder)
    if len(set(source.names)) < len(source.names):
        twice = next(name for name in source.names if source.names.count(name) > 1)
        raise Refused(f"two classes of {folder} are called {twice!r}: give each a name of its own")
    return source


def _reader(form: str) -> Callable[[Path], Source]:
    """Load one format's module alone: supervision, behind two of them, takes a second and a half.

    The imports are spelled out because dvc.yaml lists each stage's code by them.
    """
    if form == "coco":
        from pipeline.edges.datasets import coco

        return coco.read
    if form == "voc":
        from pipeline.edges.datasets import voc

        return voc.read
    from pipeline.edges.datasets import yolo

    return yolo.read
