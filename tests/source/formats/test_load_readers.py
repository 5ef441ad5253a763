"""The registry: every format of the table has a reader with the same three public names."""

import inspect
from pathlib import Path

import pytest

from pipeline.core.annotation_formats import ANNOTATION_FORMATS
from pipeline.source.formats import load_readers
from pipeline.source.formats.load_readers import AnnotationFormat, load_formats


def test_formats_are_loaded_in_the_order_of_the_table():
    assert tuple(load_formats()) == ANNOTATION_FORMATS
    assert len(set(ANNOTATION_FORMATS)) == len(ANNOTATION_FORMATS)


def test_every_folder_with_a_reader_is_in_the_table():
    folders = {path.parent.name for path in Path(load_readers.__file__).parent.glob("*/reader.py")}
    assert folders == set(ANNOTATION_FORMATS)


@pytest.mark.parametrize("name", ANNOTATION_FORMATS)
def test_reader_has_the_public_names_of_the_protocol(name):
    """mypy cannot check it, since the readers are imported by name."""
    reader = load_formats()[name]
    assert isinstance(reader.RECOGNIZED_BY, str)
    for function in ("matches_folder", "read_folder"):
        expected = inspect.signature(getattr(AnnotationFormat, function))
        found = inspect.signature(getattr(reader, function))
        assert found.return_annotation == expected.return_annotation
        assert list(map(describe, found.parameters.values())) == list(
            map(describe, list(expected.parameters.values())[1:])
        )


def describe(parameter):
    """Return what a caller depends on: a reader that needs no options calls them `_options`."""
    has_default = parameter.default is not inspect.Parameter.empty
    return parameter.name.removeprefix("_"), parameter.annotation, has_default


@pytest.mark.parametrize("name", ANNOTATION_FORMATS)
def test_reader_has_no_other_public_function(name):
    functions = inspect.getmembers(load_formats()[name], inspect.isfunction)
    own = {key for key, function in functions if function.__module__.endswith(f".{name}.reader")}
    assert {key for key in own if not key.startswith("_")} - {"decode_embedded_image"} == {
        "matches_folder",
        "read_folder",
    }
