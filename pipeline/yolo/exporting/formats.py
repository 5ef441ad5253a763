"""The formats that Ultralytics exports to: their files, packages and variants. Standard library only."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from pipeline.core.errors import UserError

Precision = Literal["fp32", "fp16", "int8"]
"""Of the numbers in an exported file. int8 is calibrated on images."""
NmsVariant = Literal["graph", "outside", "free"]
"""Where boxes of the same object are removed. graph: in the exported file. outside: by the program that uses
it. free: the file is made of the NMS-free head of YOLO26, which finds each object once."""

PRECISIONS: Final[tuple[Precision, ...]] = ("fp32", "fp16", "int8")
NMS_VARIANTS: Final[tuple[NmsVariant, ...]] = ("outside", "graph", "free")


class ExportFormat(NamedTuple):
    """One format.

    Attributes:
        suffix: The end of the name of its file or folder.
        packages: What its exporter and its runtime need beside the pipeline's own packages.
        int8_packages: What int8 needs besides.
        precisions: Those that the exporter can write.
        graph: Whether the NMS can be in the file.
        free: Whether the file can be made of the NMS-free head.
        calibrates: Whether int8 is calibrated on images.
        dynamic: Whether a file can take images of any size.
        machine: What it needs to run; empty for any machine.
    """

    suffix: str
    packages: tuple[str, ...] = ()
    int8_packages: tuple[str, ...] = ()
    precisions: tuple[Precision, ...] = ("fp32",)
    graph: bool = False
    free: bool = True
    calibrates: bool = False
    dynamic: bool = False
    machine: str = ""


_ONNX: Final = ("onnx>=1.17,<2", "onnxruntime>=1.22,<2", "onnxslim>=0.1.82,<1")

FORMATS: Final[Mapping[str, ExportFormat]] = {
    "torchscript": ExportFormat(".torchscript", precisions=("fp32", "fp16"), graph=True, dynamic=True),
    "onnx": ExportFormat(".onnx", _ONNX, precisions=PRECISIONS, graph=True, calibrates=True, dynamic=True),
    "openvino": ExportFormat(
        "_openvino_model",
        ("openvino>=2025.2",),
        ("nncf>=3,<4",),
        PRECISIONS,
        graph=True,
        calibrates=True,
        dynamic=True,
    ),
    "engine": ExportFormat(
        ".engine",
        (*_ONNX, "tensorrt-cu13>=10.3"),
        (),
        PRECISIONS,
        graph=True,
        calibrates=True,
        dynamic=True,
        machine="an NVIDIA GPU",
    ),
    "coreml": ExportFormat(
        ".mlpackage",
        ("coremltools>=9",),
        ("scikit-learn",),
        PRECISIONS,
        graph=True,
        dynamic=True,
        machine="macOS",
    ),
    "coreai": ExportFormat(
        ".aimodel", ("coreai-torch>=0.4.3",), precisions=("fp32", "fp16"), machine="macOS 26 or newer"
    ),
    "saved_model": ExportFormat(
        "_saved_model", (*_ONNX, "tensorflow"), (), ("fp32", "int8"), graph=True, calibrates=True
    ),
    "pb": ExportFormat(".pb", (*_ONNX, "tensorflow")),
    "edgetpu": ExportFormat(
        "_edgetpu.tflite",
        (*_ONNX, "tensorflow"),
        (),
        ("int8",),
        free=False,
        calibrates=True,
        machine="an Edge TPU",
    ),
    "litert": ExportFormat(
        ".tflite",
        ("litert-torch>=0.10", "ai-edge-litert>=2.3"),
        ("ai-edge-quantizer>=0.10",),
        ("fp32", "int8"),
        calibrates=True,
    ),
    "paddle": ExportFormat("_paddle_model", ("paddlepaddle>=3,<3.3", "x2paddle"), free=False),
    "mnn": ExportFormat(".mnn", (*_ONNX, "MNN>=2.9.6"), (), PRECISIONS, graph=True, dynamic=True),
    "ncnn": ExportFormat("_ncnn_model", ("ncnn", "pnnx==20260526"), precisions=("fp32", "fp16"), free=False),
    "imx": ExportFormat(
        "_imx_model",
        ("model-compression-toolkit>=2.4.1", "imx500-converter[pt]>=3.18.2"),
        (),
        ("int8",),
        graph=True,
        free=False,
        calibrates=True,
        machine="a Sony IMX500",
    ),
    "rknn": ExportFormat(
        "_rknn_model",
        ("rknn-toolkit2>=2.3.2,<2.5",),
        (),
        ("fp16", "int8"),
        free=False,
        calibrates=True,
        machine="a Rockchip NPU",
    ),
    "executorch": ExportFormat("_executorch_model", ("executorch",), free=False),
    "axelera": ExportFormat(
        "_axelera_model", ("axelera-devkit",), (), ("int8",), calibrates=True, machine="an Axelera NPU"
    ),
    "deepx": ExportFormat(
        "_deepx_model", (*_ONNX, "dx_com>=2.4.1"), (), ("int8",), calibrates=True, machine="a DEEPX NPU"
    ),
    "hailo": ExportFormat(
        "_hailo_model",
        (*_ONNX, "hailo-dataflow-compiler"),
        (),
        ("int8",),
        calibrates=True,
        machine="a Hailo NPU",
    ),
    "ascend": ExportFormat("_ascend_model", _ONNX, (), ("fp16",), graph=True, machine="a Huawei Ascend NPU"),
    "xilinx": ExportFormat(
        "_xilinx_model",
        (*_ONNX, "amd-quark>=0.13,<0.14"),
        (),
        ("int8",),
        calibrates=True,
        machine="an AMD Xilinx NPU",
    ),
}
"""By the name of the format in Ultralytics, in its order. Not qnn, whose int8 has activations of 16 bits."""

_ALIASES: Final[Mapping[str, str]] = {
    "tflite": "litert",
    "tensorrt": "engine",
    "trt": "engine",
    "mlpackage": "coreml",
    "ts": "torchscript",
}


def find_format(name: str) -> str:
    """Return the name of a format in `FORMATS`; other names of it are known, such as tflite.

    Raises:
        UserError: There is no such format.
    """
    known = _ALIASES.get(name.lower(), name.lower())
    if known in FORMATS:
        return known
    near = difflib.get_close_matches(known, FORMATS, n=1)
    hint = f"did you mean {near[0]}?" if near else f"choose from {', '.join(FORMATS)}"
    raise UserError(f"--format {name} is not a format: {hint}")
