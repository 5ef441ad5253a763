"""The variants of an export: combinations, names, and what is refused before any work."""

from pathlib import Path

import pytest

from pipeline.core.errors import UserError
from pipeline.export.export_facts import choose_settings
from pipeline.export.model_source import ExportSource
from pipeline.export.variants import ExportVariant, plan_variants, require_task_variants
from pipeline.iterations.iteration import Iteration


def test_lists_give_every_combination_once():
    found = plan_variants("onnx,ONNX, openvino", "fp32,int8", "outside")
    assert [variant.name for variant in found] == [
        "onnx-fp32",
        "onnx-int8",
        "openvino-fp32",
        "openvino-int8",
    ]


@pytest.mark.parametrize(
    ("variant", "file"),
    [
        (ExportVariant("onnx", "fp32", "outside"), "part-fp32.onnx"),
        (ExportVariant("engine", "fp16", "graph"), "part-fp16-nms-graph.engine"),
        (ExportVariant("openvino", "int8", "free"), "part-int8-nms-free_openvino_model"),
        (ExportVariant("onnx", "fp16", "outside", dynamic=True), "part-fp16-dynamic.onnx"),
        (ExportVariant("onnx", "fp16", "graph", dynamic=True), "part-fp16-nms-graph-dynamic.onnx"),
    ],
)
def test_file_is_named_by_what_it_is(variant, file):
    assert variant.name_file("part") == file


@pytest.mark.parametrize(
    ("formats", "precisions", "nms", "named"),
    [
        ("word", "fp32", "outside", "--format word"),
        ("onnx", "fp8", "outside", "--precision fp8"),
        ("onnx", "fp32", "inside", "--nms inside"),
        ("torchscript", "int8", "outside", "torchscript has no --precision int8"),
        ("ncnn", "fp32", "free", "ncnn has no --nms free"),
        ("paddle", "fp32", "graph", "paddle has no --nms graph"),
        ("rknn", "fp32", "outside", "use fp16 or int8"),
        (",", "fp32", "outside", "--format is empty"),
    ],
)
def test_impossible_variant_is_refused(formats, precisions, nms, named):
    with pytest.raises(UserError, match=named):
        plan_variants(formats, precisions, nms)


def test_a_format_of_one_size_has_no_dynamic_files():
    [found] = plan_variants("onnx", "fp32", "outside", dynamic=True)
    assert (found.dynamic, found.name) == (True, "onnx-fp32-dynamic")
    with pytest.raises(UserError, match="--dynamic"):
        plan_variants("onnx,ncnn", "fp32", "outside", dynamic=True)


def test_classify_has_no_nms():
    with pytest.raises(UserError, match="no NMS"):
        require_task_variants(plan_variants("onnx", "fp32", "graph"), "classify")
    require_task_variants(plan_variants("onnx", "fp32", "outside"), "classify")
    require_task_variants(plan_variants("onnx", "fp32", "graph"), "obb")


@pytest.mark.parametrize(("nms", "conf"), [("outside", 0.3), ("graph", 0.3), ("free", None)])
def test_a_file_predicts_as_its_checkpoint(nms, conf):
    known = {"conf": 0.3, "iou": 0.6, "tile": 640, "overlap": 0.2}
    iteration = Iteration("a", "run", "a", predicts_with=known)
    source = ExportSource(iteration, Path("best.pt"), "0" * 64, "a", ("x",), 320, 0.3)
    found = choose_settings(source, ExportVariant("onnx", "fp32", nms))
    expected = {**known, "imgsz": 320, "conf": conf}
    assert found == {name: value for name, value in expected.items() if value is not None}
