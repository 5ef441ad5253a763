"""The run key changes with every input of a training, and with nothing else."""

from __future__ import annotations

import shutil
from importlib.metadata import version
from pathlib import Path

import pytest

from pipeline.finetune.run_key import collect_code_versions, compute_run_key, reduce_finetune

PACKAGE = Path(__file__).parents[2] / "pipeline"
INPUTS = {
    "params": {"seed": 0, "finetune": {"lr0": 0.001, "freeze": None}},
    "data": {"prepared": "aa", "augmented": "bb"},
    "code": {"finetune": "cc", "torch": "2.15.0"},
    "weights": {"base": "dd", "teacher": None},
}


@pytest.fixture
def package(tmp_path):
    """Copy the package, so that a test can change its files."""
    return Path(shutil.copytree(PACKAGE, tmp_path / "pipeline", ignore=shutil.ignore_patterns("__pycache__")))


@pytest.mark.parametrize(
    "changed",
    [
        {"params": {"seed": 1, "finetune": {"lr0": 0.001, "freeze": None}}},
        {"params": {"seed": 0, "finetune": {"lr0": 0.0011, "freeze": None}}},
        {"params": {"seed": 0, "finetune": {"lr0": 0.001}}},
        {"data": {"prepared": "ax", "augmented": "bb"}},
        {"data": {"prepared": "aa", "augmented": "bx"}},
        {"code": {"finetune": "cx", "torch": "2.15.0"}},
        {"code": {"finetune": "cc", "torch": "2.16.0"}},
        {"weights": {"base": "dx", "teacher": None}},
        {"weights": {"base": None, "teacher": None}},
        {"weights": {"base": "dd", "teacher": "ee"}},
    ],
)
def test_every_input_changes_the_key(changed):
    assert compute_run_key(**{**INPUTS, **changed}) != compute_run_key(**INPUTS)


def test_order_of_inputs_does_not_change_the_key():
    turned = {name: dict(reversed(part.items())) for name, part in INPUTS.items() if isinstance(part, dict)}
    assert compute_run_key(**{**INPUTS, **turned}) == compute_run_key(**INPUTS)


def test_key_is_a_sha256():
    assert len(compute_run_key(**INPUTS)) == 64
    int(compute_run_key(**INPUTS), 16)


@pytest.mark.parametrize(
    ("file", "counts"),
    [
        ("finetune/stage.py", True),
        ("yolo/training/train.py", True),
        ("source/formats/via/reader.py", False),
        ("tracking/runs.py", False),
    ],
)
def test_only_code_that_the_finetune_stage_runs_changes_the_code_versions(package, file, counts):
    before = collect_code_versions(package)
    with (package / file).open("a") as module:
        module.write("# a comment\n")
    assert (collect_code_versions(package) != before) == counts


def test_code_versions_hold_the_libraries_that_train():
    found = collect_code_versions()
    assert {name: found[name] for name in ("numpy", "torch", "ultralytics")} == {
        name: version(name) for name in ("numpy", "torch", "ultralytics")
    }


def test_values_that_decide_nothing_are_no_part_of_the_key():
    values = {"lr0": 0.1, "workers": 8, "verbose": True, "device": "cuda:1", "epochs": 20, "time": None}
    assert reduce_finetune(values) == {"lr0": 0.1, "device": ["gpu"], "epochs": 20, "time": None}
    assert reduce_finetune({**values, "time": 0.5})["epochs"] is None
