"""What torch can use, and what the machine has."""

import sys

import pytest

from pipeline.doctor.machine import torch_device
from pipeline.doctor.machine.torch_device import check_torch, judge_device

CPU = {"version": "2.15.0+cpu", "cuda": None, "devices": [], "error": "", "capability": "AVX2", "mps": False}
CUDA = CPU | {"version": "2.15.0", "cuda": "13.2", "devices": ["H200"]}
OLD_DRIVER = CUDA | {"devices": [], "error": "the NVIDIA driver is too old"}


@pytest.mark.parametrize(
    ("facts", "device", "has_gpu", "state"),
    [
        (CPU, None, False, "ok"),
        (CPU, "cpu", True, "warning"),
        (CPU, None, True, "warning"),
        (CPU, 0, False, "fault"),
        (CPU, [0, 1], False, "fault"),
        (CPU, "cuda:0", False, "fault"),
        (CUDA, None, True, "ok"),
        (CUDA, "0,1", True, "fault"),
        (CUDA | {"devices": ["H200"] * 2}, "0,1", True, "ok"),
        (CUDA, 3, True, "fault"),
        (CUDA, "mps", True, "fault"),
        (CPU | {"mps": True}, "mps", False, "ok"),
        (OLD_DRIVER, None, True, "warning"),
        (OLD_DRIVER, 0, True, "fault"),
        (OLD_DRIVER, None, False, "ok"),
    ],
)
def test_a_gpu_that_cannot_be_used_is_found(facts, device, has_gpu, state):
    assert judge_device(facts, device, has_gpu=has_gpu).state == state


def test_why_cuda_cannot_be_used_is_quoted():
    assert "driver is too old" in judge_device(OLD_DRIVER, 0, has_gpu=True).seen


@pytest.mark.fault(11, "torch cannot be imported")
@pytest.mark.parametrize("code", ["raise OSError('libgomp.so.1 is missing')", "import os; os.abort()"])
def test_a_torch_that_cannot_be_imported_is_a_fault(project, monkeypatch, code):
    monkeypatch.setattr(torch_device, "COMMAND", (sys.executable, "-S", "-c", code))
    [found] = check_torch(project)
    assert found.state == "fault"
    assert "libgomp" in found.seen or "-6" in found.seen
