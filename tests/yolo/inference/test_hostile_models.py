"""Files of weights made to run code or to touch other files: every door refuses them, or they do neither.

The doors are the functions of pipeline/yolo that open a file of weights, for all commands and stages.
"""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import warnings
import zipfile
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.core.errors import UserError
from pipeline.yolo.exporting.export_weights import export_weights
from pipeline.yolo.inference.loaded_model import LoadedModel
from pipeline.yolo.inference.model_file import load_checkpoint_model, read_export_facts
from pipeline.yolo.inference.torchscript_code import find_file_calls, require_tensor_code
from pipeline.yolo.training.resume.checkpoints import load_newest_checkpoint
from pipeline.yolo.training.train import build_trainer
from pipeline.yolo.weights import load_weights
from tests import trainings
from tests.yolo.exporting.test_export_weights import request

SETTINGS = {"imgsz": 64, "conf": 0.001, "iou": 0.7, "max_det": 20, "batch": 1, "device": "cpu"}
FACTS = {"task": "detect", "names": {0: "a"}, "imgsz": [64, 64], "batch": 1, "stride": 32, "args": {}}


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        """Call Path.touch."""
        return Path.touch, (self.path,)


@pytest.fixture(autouse=True)
def ran(tmp_path, monkeypatch):
    """The file that a payload would write, which must not exist at the end."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    yield tmp_path / "ran"
    assert not (tmp_path / "ran").exists()


@cache
def script_writing_module() -> bytes:
    """Return a TorchScript file that writes the file `ran` where it is run, as an attacker would send it."""
    module, buffer = torch.jit.ScriptModule(), io.BytesIO()
    with warnings.catch_warnings(action="ignore"):
        module.define(
            'def forward(self, x):\n    y = torch.from_file("ran", True, 16)\n    return x + y.sum()\n'
        )
        torch.jit.save(module, buffer, _extra_files={"config.txt": json.dumps(FACTS)})
    return buffer.getvalue()


PAYLOADS = {
    "pickle": lambda path, ran: path.write_bytes(pickle.dumps({"model": Trap(ran)})),
    "torch file": lambda path, ran: torch.save({"model": Trap(ran)}, path),
    "torch file in the old form": lambda path, ran: torch.save(
        {"model": Trap(ran)}, path, _use_new_zipfile_serialization=False
    ),
    "optimizer": lambda path, ran: torch.save({"model": torch.nn.Linear(1, 1), "optimizer": Trap(ran)}, path),
    "a TorchScript archive": lambda path, _ran: path.write_bytes(script_writing_module()),
}


def open_teacher(path: Path) -> None:
    trainings.dataset(Path.cwd())
    build_trainer(trainings.job(Path.cwd(), distill_model=str(path)))


DOORS = {
    "base weights": load_weights,
    "compare, predict, serve, evaluate": lambda path: LoadedModel(path, settings=SETTINGS),
    "register, export": lambda path: load_checkpoint_model(path, None, "export"),
    "export": lambda path: export_weights(path, Path("export"), request()),
    "teacher": open_teacher,
}


@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize("door", DOORS)
@pytest.mark.fault(1, "a checkpoint with code, at each command that opens one")
def test_no_command_runs_the_code_of_a_checkpoint(tmp_path, ran, door, payload):
    path = tmp_path / "sent.pt"
    PAYLOADS[payload](path, ran)
    with pytest.raises(UserError) as refused:
        DOORS[door](path)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("payload", ["pickle", "torch file", "torch file in the old form"])
@pytest.mark.fault(1, "a planted checkpoint of a training in progress")
def test_a_planted_checkpoint_of_a_training_runs_nothing(tmp_path, ran, payload):
    PAYLOADS[payload](tmp_path / "x", ran)
    content = (tmp_path / "x").read_bytes()
    (tmp_path / f"000003-{hashlib.sha256(content).hexdigest()}.ckpt").write_bytes(content)
    assert load_newest_checkpoint(tmp_path) is None


@pytest.mark.fault(1, "an exported file that touches other files")
def test_a_torchscript_file_that_writes_files_is_refused(tmp_path):
    """TorchScript is a language: unlike ONNX it has functions that open files."""
    (tmp_path / "sent.torchscript").write_bytes(script_writing_module())
    assert read_export_facts(tmp_path / "sent.torchscript").names == ("a",)
    with pytest.raises(UserError, match=r"sent\.torchscript .*from_file"):
        LoadedModel(tmp_path / "sent.torchscript", settings=SETTINGS)


def rewrite(content: bytes, rename=str, *, prefix=b"") -> bytes:
    """Write the members of a zip anew, under other names, or after other bytes."""
    buffer = io.BytesIO(prefix)
    buffer.seek(len(prefix))
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(buffer, "w") as target:
        for member in source.infolist():
            target.writestr(rename(member.filename), source.read(member))
    return buffer.getvalue()


def hide_directory(content: bytes) -> bytes:
    """Put a second directory, which lists no code, between the directory of a zip and its end.

    Python takes the directory that ends where the end record begins, and moves all offsets accordingly; torch
    takes the one at the offset that the end record states.
    """
    plain = rewrite(content)
    listed = find_directory(plain)
    shown = [entry for entry in listed.split(b"PK\x01\x02")[1:] if b"/code/" not in entry]
    room = len(listed) - sum(4 + len(entry) for entry in shown)
    shown[-1] = shown[-1][:28] + room.to_bytes(2, "little") + shown[-1][30:] + bytes(room)  # a comment
    moved = rewrite(content, prefix=bytes(len(listed)))
    return moved[:-22] + b"".join(b"PK\x01\x02" + entry for entry in shown) + moved[-22:]


def find_directory(content: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return content[archive.start_dir : -22]


def call_by_parts(content: bytes) -> bytes:
    """Write the name of an operator as two texts, which torch joins."""
    call, same = b'torch.from_file("ran", True, 16)', b'getattr(torch, "from_" "file")("ran", True, 16)'
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(buffer, "w") as target:
        for member in source.infolist():
            target.writestr(member.filename, source.read(member).replace(call, same))
    return buffer.getvalue()


HIDDEN = {
    "parts": call_by_parts,
    "CODE": lambda content: rewrite(content, lambda name: name.replace("/code/", "/CODE/")),
    ".PY": lambda content: rewrite(content, lambda name: name.replace(".py", ".PY")),
    "directory": hide_directory,
}


@pytest.mark.parametrize("where", HIDDEN)
@pytest.mark.fault(1, "code that Python's reader of zips does not see and that of torch does")
def test_hidden_code_of_a_torchscript_file_is_not_run(tmp_path, where):
    (tmp_path / "sent.torchscript").write_bytes(HIDDEN[where](script_writing_module()))
    with pytest.raises(UserError):
        LoadedModel(tmp_path / "sent.torchscript", settings=SETTINGS).predict([np.zeros((64, 64, 3), "u1")])


@pytest.mark.parametrize("name", ["sent.TorchScript", "sent.torchscript_model", "sent.torchscript.x_model"])
@pytest.mark.fault(1, "an exported file that touches other files")
def test_a_torchscript_file_of_another_name_runs_nothing(tmp_path, name):
    (tmp_path / name).write_bytes(script_writing_module())
    (tmp_path / "metadata.yaml").write_text(json.dumps(FACTS))
    with pytest.raises(UserError):
        LoadedModel(tmp_path / name, settings=SETTINGS).predict([np.zeros((64, 64, 3), "u1")])


@pytest.mark.parametrize("change", ["name", "contents"])
@pytest.mark.fault(1, "code that Python's reader of zips refuses and that of torch accepts")
def test_code_of_a_torchscript_file_that_cannot_be_read_is_refused(tmp_path, change):
    """Torch checks neither the name in a member's own header nor its checksum."""
    sent = bytearray(script_writing_module())
    start = sent.index(b"/code/__torch__")
    sent[start + 7 if change == "name" else start + 60] ^= 1
    (tmp_path / "sent.torchscript").write_bytes(sent)
    with pytest.raises(UserError, match=r"sent\.torchscript (is no TorchScript file|calls from_file)"):
        require_tensor_code(tmp_path / "sent.torchscript", name="sent.torchscript")


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("y = torch.conv2d(x)\nz = ops.prim.NumToTensor(y)", []),
        ('torch.save(y, "a")', ["save"]),
        ('(torch  # a\n . save)(y, "a")', ["save"]),
        ("ops.image.read_file(a)", ["read_file", "ops.image"]),
        ("ops.symm_mem.one_shot_all_reduce(a)", ["ops.symm_mem"]),
        ("a = rpc_async(b)", ["rpc_async"]),
        ("  def __setstate__(self, a):\n    pass", ["__setstate__"]),
        ("a : __torch__.torch.classes.profiler._RecordFunction", ["classes.profiler"]),
    ],
)
def test_operators_for_files_and_networks_are_found_by_name(code, names):
    assert list(find_file_calls(code)) == names


@pytest.mark.parametrize("place", ["/etc/passwd", "../secret.bin", "{secret}", "./../secret.bin"])
@pytest.mark.fault(1, "an exported file that touches other files")
def test_an_onnx_file_reads_no_other_file(tmp_path, place):
    """The data of its tensors may be in another file, which it names."""
    (tmp_path / "secret.bin").write_bytes(bytes(range(16)) * 4)
    folder = tmp_path / "sent"
    folder.mkdir()
    write_onnx(folder / "sent.onnx", place.format(secret=tmp_path / "secret.bin"))
    with pytest.raises(UserError, match=r"sent\.onnx cannot be loaded"):
        LoadedModel(folder / "sent.onnx", settings=SETTINGS)


def write_onnx(path: Path, place: str) -> None:
    """Write a model that answers with the contents of another file."""
    import onnx
    from onnx import TensorProto, helper

    tensor = TensorProto(name="secret", data_type=TensorProto.FLOAT, dims=[4, 4])
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", place), ("offset", "0"), ("length", "64")):
        tensor.external_data.add(key=key, value=value)
    image = helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, 64, 64])
    found = helper.make_tensor_value_info("output0", TensorProto.FLOAT, [4, 4])
    node = helper.make_node("Identity", ["secret"], ["output0"])
    graph = helper.make_graph([node], "sent", [image], [found], [tensor])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    for key, value in FACTS.items():
        model.metadata_props.add(key=key, value=str(value))
    path.write_bytes(model.SerializeToString())
    assert onnx.load(path, load_external_data=False).metadata_props


@pytest.mark.fault(1, "an exported file that touches other files")
@pytest.mark.parametrize("start", ['<!DOCTYPE net [<!ENTITY e SYSTEM "file:///etc/passwd">]>', ""])
def test_openvino_xml_with_an_entity_or_a_foreign_layer_is_refused(tmp_path, start):
    folder = tmp_path / "sent_openvino_model"
    folder.mkdir()
    layer = '<layer id="0" name="a" type="Custom" version="own"><output/></layer>'
    name = "&e;" if start else "net"
    (folder / "sent.xml").write_text(
        f'<?xml version="1.0"?>{start}<net name="{name}" version="11"><layers>{layer}</layers><edges/></net>'
    )
    (folder / "sent.bin").write_bytes(b"")
    (folder / "metadata.yaml").write_text(json.dumps({**FACTS, "names": {"0": "a"}}))
    with pytest.raises(UserError, match="cannot be loaded"):
        LoadedModel(folder, settings=SETTINGS)


@pytest.mark.parametrize(
    "value", ["!!python/object/apply:os.system ['touch ran']", "__import__('os').system('touch ran')"]
)
@pytest.mark.parametrize("form", ["openvino", "torchscript"])
@pytest.mark.fault(1, "code in what an exported file says about itself")
def test_facts_of_an_exported_file_are_never_evaluated(tmp_path, form, value):
    if form == "openvino":
        path = tmp_path / "sent_openvino_model"
        path.mkdir()
        (path / "metadata.yaml").write_text(f"task: detect\nimgsz: [64, 64]\nnames: {value}\n")
    else:
        path = tmp_path / "sent.torchscript"
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("x/metadata.txt", value)
        path.write_bytes(buffer.getvalue())
    with pytest.raises(UserError, match="does not say its task"):
        read_export_facts(path)


def test_arrays_with_objects_are_not_read(tmp_path, ran):
    """The decoded images of a cache are arrays; one with objects could run code."""
    np.save(tmp_path / "a.npy", np.array([Trap(ran)], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="allow_pickle"):
        np.load(tmp_path / "a.npy")
