"""The iteration key changes with every input, and with nothing else."""

from __future__ import annotations

import pytest

from pipeline.finetune import run_key

INPUTS = {
    "params": {"seed": 0, "finetune": {"lr0": 0.001, "freeze": None}},
    "data": {"prepared": "aa", "augmented": "bb"},
    "code": {"core/labels.py": "cc", "torch": "2.15.0"},
    "weights": {"base": "dd", "teacher": None},
}


@pytest.mark.parametrize(
    "changed",
    [
        {"params": {"seed": 1, "finetune": {"lr0": 0.001, "freeze": None}}},
        {"params": {"seed": 0, "finetune": {"lr0": 0.0011, "freeze": None}}},
        {"params": {"seed": 0, "finetune": {"lr0": 0.001}}},
        {"data": {"prepared": "ax", "augmented": "bb"}},
        {"data": {"prepared": "aa", "augmented": "bx"}},
        {"code": {"core/labels.py": "cx", "torch": "2.15.0"}},
        {"code": {"core/labels.py": "cc", "torch": "2.16.0"}},
        {"weights": {"base": "dx", "teacher": None}},
        {"weights": {"base": None, "teacher": None}},
        {"weights": {"base": "dd", "teacher": "ee"}},
    ],
)
def test_every_input_counts(changed):
    assert run_key.key(**{**INPUTS, **changed}) != run_key.key(**INPUTS)


def test_the_order_of_keys_does_not_count():
    turned = {name: dict(reversed(part.items())) for name, part in INPUTS.items() if isinstance(part, dict)}
    assert run_key.key(**{**INPUTS, **turned}) == run_key.key(**INPUTS)


def test_the_key_is_a_hash():
    assert len(run_key.key(**INPUTS)) == 64
    int(run_key.key(**INPUTS), 16)
