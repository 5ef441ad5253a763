"""The table of formats beside Ultralytics' own, and its packages beside pyproject.toml."""

import re
import tomllib
from pathlib import Path

import pytest
from ultralytics.engine import exporter

from pipeline.core.errors import UserError
from pipeline.yolo.exporting.formats import FORMATS, find_format

TABLE = exporter.export_formats()
ROWS = {
    name: dict(zip(("suffix", "arguments"), row, strict=True))
    for name, *row in zip(TABLE["Argument"], TABLE["Suffix"], TABLE["Arguments"], strict=True)
}


def test_formats_are_those_of_ultralytics_but_qnn():
    assert list(FORMATS) == [name for name in ROWS if name not in {"-", "qnn"}]


@pytest.mark.parametrize("name", FORMATS)
def test_format_says_what_the_exporter_of_ultralytics_can(name):
    known, row = FORMATS[name], ROWS[name]
    assert known.suffix == row["suffix"]
    assert known.graph == ("nms" in row["arguments"])
    assert known.calibrates == ("data" in row["arguments"] and "int8" in known.precisions)
    assert known.dynamic == ("dynamic" in row["arguments"])
    precisions = {
        "fp32": name not in exporter.FP32_UNSUPPORTED_FORMATS,
        "fp16": name in exporter.FP16_FORMATS,
        "int8": name in exporter.INT8_FORMATS,
    }
    assert known.precisions == tuple(one for one, possible in precisions.items() if possible)


def test_extras_of_pyproject_hold_the_packages_of_their_format():
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    for extra, packages in project["optional-dependencies"].items():
        known = FORMATS[extra.removeprefix("export-")]
        wanted = {*known.packages, *known.int8_packages}
        others = {*FORMATS["onnx"].packages} if extra != "export-onnx" else set()
        others |= {re.split("[<>=]", each)[0] for each in project["dependencies"]}  # installed anyway
        assert {*packages} == wanted - others


@pytest.mark.parametrize(
    ("name", "found"), [("onnx", "onnx"), ("ONNX", "onnx"), ("tflite", "litert"), ("tensorrt", "engine")]
)
def test_format_is_found_by_its_other_names(name, found):
    assert find_format(name) == found


@pytest.mark.parametrize(("name", "hint"), [("onxn", "did you mean onnx?"), ("word", "choose from")])
def test_unknown_format_is_refused_with_a_hint(name, hint):
    with pytest.raises(UserError, match=hint.replace("?", r"\?")):
        find_format(name)
