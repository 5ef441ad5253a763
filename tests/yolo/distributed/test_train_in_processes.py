"""One training in two processes on CPUs (gloo): its results, and how it goes on after a stop."""

from __future__ import annotations

import multiprocessing

import pytest
import torch
from torch import distributed, nn

from pipeline.core.errors import PrunedError, UserError
from pipeline.yolo.distributed.process_group import (
    average_over_processes,
    require_equal_weights,
    share_from_first,
)
from pipeline.yolo.job import EmaSettings
from pipeline.yolo.training.resume.checkpoints import load_newest_checkpoint
from pipeline.yolo.unfreezing import LayerDecay, UnfreezingSchedule
from tests import trainings

SCHEDULE = UnfreezingSchedule("schedule", every=1, stall=1, groups=3, decay=0.5)
SMALL = {"batch": 8, "nbs": 8, "lr0": 0.0005, "epochs": 2, "threads": 1}
CONSTANT = dict.fromkeys(("mosaic", "hsv_h", "hsv_s", "hsv_v", "translate", "scale", "fliplr"), 0.0)


def train(root, *, processes, ends_after=None, weights=trainings.FOUNDATION, **changes):
    """Train on so many CPU processes; return the result, and the epochs as they were reported."""
    device = ",".join(["cpu"] * processes)
    rows = []

    def keep(row):
        rows.append(row)
        return row["epoch"] == ends_after

    job = trainings.job(root, weights=weights, device=device, **{**SMALL, **changes})
    return trainings.run(job, on_epoch=keep), rows


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Two project folders with the same dataset."""
    roots = [tmp_path_factory.mktemp(name) for name in ("first", "second")]
    for root in roots:
        trainings.dataset(root, train=8, val=3)
        for kind in ("images", "labels"):
            first, *others = sorted((root / "data/prepared" / kind / "train").iterdir())
            for path in others:
                path.write_bytes(first.read_bytes())
    return roots


@pytest.mark.slow
def test_two_processes_train_like_one(pair):
    """All train images are the same: so are BatchNorm's statistics of a batch and of its parts."""
    one, _ = train(pair[0], processes=1, **CONSTANT)
    two, rows = train(pair[1], processes=2, **CONSTANT)
    assert rows == two.rows
    assert [row["epoch"] for row in rows] == [1, 2]
    assert (two.effective["processes"], two.effective["batch"], two.effective["accumulate"]) == (2, 8, 1)
    assert "processes" not in one.effective
    losses = [name for name in rows[0] if name.endswith("loss")]
    assert len(losses) > 4
    for name in losses:
        expected = [row[name] for row in one.rows]
        batches = 0.1 if name.startswith("val/") else 1e-3  # the mean over batches, which differ on val
        assert [row[name] for row in rows] == pytest.approx(expected, rel=batches), name
    for name in ("metrics/mAP50-95", "metrics/mAP50"):
        assert rows[-1][name] == pytest.approx(one.rows[-1][name], abs=0.01)
    assert two.weights.keys() == one.weights.keys()


@pytest.mark.slow
@pytest.mark.parametrize(
    "case",
    [
        {"layer_decay": LayerDecay(3, 0.5), "ema": EmaSettings(0.9, 5.0), "freeze_bn": True},
        {"gradual": SCHEDULE, "cache": False, "mosaic": 1.0, "batch": 6},
        {"repeat_rare": 0.9},
    ],
)
def test_a_stopped_training_goes_on_to_the_same_bytes(tmp_path, case):
    """In several processes the rows are those of the first, and yet all of them open the same layers."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for root in (whole, parts):
        root.mkdir()
        trainings.dataset(root, train=11, val=3)
    expected, rows = train(whole, processes=2, epochs=3, **case)
    with pytest.raises(PrunedError):
        train(parts, processes=2, epochs=3, ends_after=1, **case)
    state = load_newest_checkpoint(parts / "checkpoints")
    assert (state["epoch"], state["stop"]) == (0, False)
    result, again = train(parts, processes=2, epochs=3, **case)
    assert [row["epoch"] for row in again] == [1, 2, 3]
    assert result.weights == expected.weights
    assert [_drop_times(row) for row in again] == [_drop_times(row) for row in rows]


@pytest.mark.slow
@pytest.mark.parametrize("task", ["segment", "obb", "pose", "classify"])
def test_every_task_trains_in_two_processes(tmp_path, task):
    trainings.dataset(tmp_path, train=8, val=3, task=task)
    result, rows = train(tmp_path, processes=2, weights=None, task=task, epochs=2)
    assert [row["epoch"] for row in rows] == [1, 2]
    main = "metrics/top1" if task == "classify" else "metrics/mAP50-95"
    assert 0 <= rows[-1][main] <= 1
    assert result.effective["processes"] == 2


@pytest.mark.slow
def test_a_training_that_diverges_says_so_once(tmp_path, capfd):
    trainings.dataset(tmp_path, train=8, val=3)
    with pytest.raises(UserError, match=r"the training diverged in epoch \d"):
        train(tmp_path, processes=2, lr0=1.0, epochs=3, batch=4, nbs=4)
    assert "Traceback" not in capfd.readouterr().err


def _drop_times(row):
    return {name: value for name, value in row.items() if name not in {"seconds", "system/threads"}}


def _check_group(rank, file, queue):
    """Run in each of two processes."""
    distributed.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=2)
    device, model = torch.device("cpu"), nn.Linear(3, 2)
    nn.init.constant_(model.weight, 0.5)
    nn.init.constant_(model.bias, 0.25)
    require_equal_weights(model, device)
    means = average_over_processes({"a": torch.tensor(float(rank)), "b": torch.tensor(3.0)}, device)
    found = {name: float(value) for name, value in means.items()}
    shared = share_from_first({"rank": rank})
    with torch.no_grad():
        model.bias[0] += 0.001 * rank
    try:
        require_equal_weights(model, device)
    except RuntimeError as error:
        queue.put((found, shared, str(error)))


@pytest.mark.slow
def test_processes_share_values_and_notice_different_weights(tmp_path):
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    processes = [
        context.Process(target=_check_group, args=(rank, tmp_path / "store", queue)) for rank in (0, 1)
    ]
    for process in processes:
        process.start()
    found = [queue.get(timeout=120) for _ in processes]
    for process in processes:
        process.join()
    for means, shared, error in found:
        assert (means, shared) == ({"a": 0.5, "b": 3.0}, {"rank": 0})
        assert "different weights" in error
