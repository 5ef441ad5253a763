"""How many optimizer steps the trainings of a learning curve have."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from pipeline.sweep.learning_curve.curve_size import CurveSize
from pipeline.sweep.learning_curve.training_steps import count_steps, remark_on_steps


@pytest.mark.parametrize(
    ("images", "finetune", "multiplier", "steps"),
    [
        (5, {"epochs": 160, "batch": 16}, 1, 160),
        (40, {"epochs": 20, "batch": 16}, 1, 60),
        (40, {"epochs": 20, "batch": 16}, 2, 100),
        (40, {"epochs": "auto", "batch": 16}, 1, None),
        (40, {"epochs": 20, "batch": -1}, 1, None),
        (40, {"epochs": 20, "batch": 0.7}, 1, None),
        (40, {"epochs": 20, "batch": 16, "time": 0.5}, 1, None),
    ],
)
def test_steps(images, finetune, multiplier, steps):
    assert count_steps(images, finetune, multiplier) == steps


def commit_params(project: Path, epochs: int | str) -> str:
    values = {"finetune": {"epochs": epochs, "batch": 16}, "augment": {"offline": {"multiplier": 1}}}
    (project / "params.yaml").write_text(yaml.safe_dump(values))
    run = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run([*run, "add", "."], cwd=project, check=True)
    subprocess.run([*run, "commit", "-q", "--allow-empty", "-m", "A training"], cwd=project, check=True)
    found = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=project, check=True, capture_output=True, text=True
    )
    return found.stdout.strip()


@pytest.mark.fault(3, "small parts of a learning curve have more steps, without a word")
@pytest.mark.parametrize(
    ("part", "epochs", "told"), [(5, (256, 10), True), (32, (40, 10), False), (5, ("auto", "auto"), False)]
)
def test_a_part_with_more_steps_is_told(tmp_path, part, epochs, told):
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    sizes = [
        CurveSize(count / 128, count, (0.5,), (0.5,), ("a",), (commit_params(tmp_path, own),), (count,))
        for count, own in zip((part, 128), epochs, strict=True)
    ]
    remarks = remark_on_steps(sizes, tmp_path)
    assert len(remarks) == told
    assert not told or "5 images have 256 optimizer steps, those on all 80" in remarks[0]
