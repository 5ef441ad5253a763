"""A training that was stopped and resumed gives the same files, byte for byte, as one without a stop."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from ultralytics.engine import trainer as ultralytics_trainer

from pipeline.yolo.job import EmaSettings
from pipeline.yolo.training import trainer
from pipeline.yolo.training.datasets.object_dataset import YoloTrainDataset
from pipeline.yolo.training.resume import state
from pipeline.yolo.training.resume.checkpoints import load_newest_checkpoint
from pipeline.yolo.training.train import train_model
from pipeline.yolo.training.trainer import TrainingMixin
from pipeline.yolo.unfreezing import LayerDecay, UnfreezingSchedule
from tests import trainings

IMAGES = 11
"""Train images: with any batch size, the last batch is a smaller one."""
EPOCHS = 3
TRIES = int(os.environ.get("FAULT_TRIES", "12"))
SEED = int(os.environ.get("FAULT_SEED", "0"))
SCHEDULE = UnfreezingSchedule("schedule", every=1, stall=1, groups=3, decay=0.5)
STRATEGIES = {
    "full": {},
    "layer_decay": {"layer_decay": LayerDecay(4, 0.7), "ema": EmaSettings(0.9, 5.0)},
    "head": {"freeze": "backbone", "head": True},
    "gradual": {"gradual": SCHEDULE},
}
AUGMENTED = {"mosaic": 1.0, "scale": 0.5, "translate": 0.1, "fliplr": 0.5, "hsv_v": 0.4}
KILLED = """
import os, signal, sys
sys.path.insert(0, {code!r})
from pathlib import Path
from tests import trainings
from tests.yolo.training.resume.test_resume import _build_job, _train
def kill(row):
    if row["epoch"] == {epoch}:
        os.kill(os.getpid(), signal.SIGKILL)
trainings.run(_build_job(Path({root!r}), {case!r}), on_epoch=kill)
"""

SLOW = pytest.mark.slow


@pytest.fixture(scope="module")
def projects(tmp_path_factory):
    """Two project folders with the same dataset."""
    roots = [tmp_path_factory.mktemp(name) for name in ("whole", "parts")]
    for root in roots:
        trainings.dataset(root, train=IMAGES, val=4)
    return roots


def _build_job(root, case, *, fresh=True):
    changes = {**AUGMENTED, "epochs": EPOCHS, "close_mosaic": 1, "warmup_epochs": 1.0, "patience": 0, **case}
    strategy = STRATEGIES[changes.pop("strategy", "full")]
    for name in ("workers", "fails_at", "pace"):
        changes.pop(name, None)
    job = trainings.job(root, weights=trainings.FOUNDATION, **changes, **strategy)
    if fresh:
        shutil.rmtree(job.folder)
        job.folder.mkdir()
    return job


def _train(job, *, stop_after=None):
    """Train; stop as a kill does, after the checkpoint of an epoch is on the disk."""

    def stop(row):
        if row["epoch"] == stop_after:
            raise KeyboardInterrupt

    return train_model(job, on_start=lambda _effective: None, on_epoch=stop)


@contextlib.contextmanager
def _conditions(case) -> Iterator[None]:
    """Train with workers, on a clock that counts batches, and with too little memory for a batch size."""
    clock = SimpleNamespace(now=1e9)
    set_up, preprocess = TrainingMixin.__init__, TrainingMixin.preprocess_batch

    def set_up_with_workers(self, overrides, job):
        set_up(self, overrides, job)
        self.args.workers = case.get("workers", 0)  # Ultralytics takes 0 on a CPU

    def preprocess_or_fail(self, batch):
        clock.now += 1.0 + case.get("pace", 0.0) * self.epoch
        stepped = self.epoch == 0 and self.steps.last_step >= 0  # later, Ultralytics does not try again
        if stepped and self.batch_size == case.get("fails_at"):
            raise RuntimeError("CUDA out of memory")
        return preprocess(self, batch)

    with pytest.MonkeyPatch.context() as patch:
        for module in (ultralytics_trainer, trainer, state) if "time" in case else ():
            patch.setattr(module, "time", SimpleNamespace(time=lambda: clock.now))
        patch.setattr(TrainingMixin, "__init__", set_up_with_workers)
        patch.setattr(TrainingMixin, "preprocess_batch", preprocess_or_fail)
        yield


def _check_same_files(projects, stop_after, case):
    whole, parts = projects
    with _conditions(case):
        expected = _train(_build_job(whole, case))
        job = _build_job(parts, case)
        with contextlib.suppress(KeyboardInterrupt):
            _train(job, stop_after=stop_after)
            pytest.fail("it ended before it was stopped")
        found = _train(job)
    assert found.weights == expected.weights
    assert found.best_epoch == expected.best_epoch
    used = [{**result.effective, "cache": None} for result in (found, expected)]  # as memory allows today
    assert used[0] == used[1]
    untimed = [[{**row, "seconds": 0} for row in result.rows] for result in (found, expected)]
    assert untimed[0] == untimed[1]
    assert not any(str(root).encode() in contents for root in projects for contents in found.weights.values())
    assert not any(
        str(trainings.FOUNDATION.parent).encode() in contents for contents in found.weights.values()
    )
    return found


@pytest.mark.fault(4, "stopped after an epoch: chosen arguments")
@pytest.mark.parametrize(
    ("stop_after", "case"),
    [
        (
            1,
            {
                **{"batch": 4, "nbs": 16, "cache": False, "precision": "auto", "strategy": "gradual"},
                **{"ema": EmaSettings(0.99, 2.0), "average": 2, "freeze_bn": True},
                "one_to_many": 0.8,
            },
        ),
        pytest.param(
            3,
            {"batch": 8, "nbs": 4, "cache": "disk", "strategy": "head", "average": 3, "sam": 0.05},
            marks=SLOW,
        ),
        pytest.param(1, {"batch": 8, "nbs": 16, "repeat_rare": 0.9, "workers": 2}, marks=SLOW),
        pytest.param(2, {"batch": 8, "nbs": 64, "fails_at": 8, "workers": 2, "cache": False}, marks=SLOW),
        pytest.param(2, {"batch": 4, "nbs": 8, "strategy": "layer_decay"}, marks=SLOW),
        pytest.param(1, {"batch": 16, "nbs": 64, "warmup_epochs": 2.5, "time": 5.5 / 3600}, marks=SLOW),
    ],
)
def test_resumed_training_gives_the_same_files(projects, stop_after, case):
    found = _check_same_files(projects, stop_after, case)
    assert found.effective["batch"] == (4 if "fails_at" in case else case["batch"])
    assert found.effective["epochs"] == len(found.rows) == (6 if "time" in case else EPOCHS)


@pytest.mark.fault(4, "stopped after an epoch: a teacher")
@pytest.mark.slow
@pytest.mark.parametrize("features", [False, True])
def test_resumed_training_with_a_teacher_gives_the_same_files(projects, tmp_path_factory, features):
    teacher = tmp_path_factory.mktemp("teacher") / "teacher.pt"
    teacher.write_bytes(trainings.FOUNDATION.read_bytes())
    case = {"batch": 4, "nbs": 8, "distill_model": str(teacher), "distill_features": features}
    found = _check_same_files(projects, 2, {**case, "precision": "auto"})
    assert all(row["train/dis_loss"] > 0 for row in found.rows)


@pytest.mark.slow
@pytest.mark.fault(4, "stopped after an epoch: finetune.time, and epochs that take longer and longer")
def test_resumed_training_has_the_losses_of_the_estimate_before(projects):
    _check_same_files(projects, 2, {"batch": 16, "nbs": 16, "time": 12 / 3600, "pace": 0.5})


def test_the_record_of_a_resumed_training_is_that_of_its_start(projects):
    case = {"batch": 8, "strategy": "gradual", "optimizer": "SGD", "warmup_epochs": 2.0}
    found = _check_same_files(projects, 2, case)
    assert found.effective["momentum"] == trainings.arguments()["momentum"]
    assert "0" in found.effective["freeze"]


@pytest.mark.slow
@pytest.mark.fault(4, "another number of worker processes after a stop")
@pytest.mark.parametrize("options", [{"cache": "ram", "mixup": 0.5}, {"multi_scale": 0.5, "mosaic": 0.0}])
def test_training_with_workers_goes_on_without_them_to_the_same_weights(projects, capsys, options):
    case = {"batch": 4, "nbs": 8, "average": 2, **options}
    expected, found = _train_with_other_workers(projects, case, workers=[2, 2, 0])
    assert found.weights == expected.weights
    assert [{**row, "seconds": 0} for row in found.rows] == [{**row, "seconds": 0} for row in expected.rows]
    assert [session["workers"] for session in found.effective["sessions"]] == [2, 0]
    assert "worker processes" not in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.fault(4, "other worker processes after a stop")
@pytest.mark.parametrize(("cache", "before", "after"), [("ram", 0, 2), (False, 2, 1)])
def test_training_that_goes_on_with_other_workers_says_that_images_differ(
    projects, capsys, cache, before, after
):
    workers = [before, before, after]
    _, found = _train_with_other_workers(projects, {"batch": 4, "cache": cache}, workers=workers)
    assert "from epoch 2 on, images are drawn otherwise" in capsys.readouterr().err
    assert [session["workers"] for session in found.effective["sessions"]] == [before, after]


def _train_with_other_workers(projects, case, *, workers):
    """Train without a stop, and with one after the first epoch; `workers` are those of the three sessions."""
    whole, parts = projects
    with _conditions({**case, "workers": workers[0]}):
        expected = _train(_build_job(whole, case))
    job = _build_job(parts, case)
    with _conditions({**case, "workers": workers[1]}), contextlib.suppress(KeyboardInterrupt):
        _train(job, stop_after=1)
        pytest.fail("it ended before it was stopped")
    with _conditions({**case, "workers": workers[2]}):
        return expected, _train(job)


CHOICES = {
    "batch": [4, 8, 16, 64],
    "nbs": [4, 12, 16, 64],
    "strategy": ["full", "head", "gradual"],
    "cache": ["ram", "disk", False],
    "mosaic": [0.0, 0.5, 1.0],
    "workers": [0, 2],
    "optimizer": ["AdamW", "SGD", "MuSGD"],
    "warmup_epochs": [0.0, 1.0, 2.5],
    "save_period": [-1, 1],
    "precision": ["fp32", "auto"],
    "close_mosaic": [0, 1, 2],
    "mixup": [0.0, 0.5],
    "fails_at": [None, None, 4, 8],
    "time": [None, None, 7.5 / 3600],
}


@pytest.mark.slow
@pytest.mark.fault(4, "stopped after an epoch: random arguments")
@pytest.mark.parametrize("seed", range(1000 * SEED, 1000 * SEED + TRIES))
def test_resumed_training_gives_the_same_files_whatever_the_arguments(projects, seed):
    chance = random.Random(seed)
    drawn = {name: chance.choice(values) for name, values in CHOICES.items()}
    case = {name: value for name, value in drawn.items() if value is not None}
    case["average"] = 2 * (seed % 2)
    _check_same_files(projects, chance.randint(1, EPOCHS - 1), case)


@pytest.mark.slow
@pytest.mark.fault(4, "the free memory changes between two sessions")
@pytest.mark.parametrize("began_cached", [True, False])
def test_mosaics_do_not_depend_on_the_memory_that_is_free_after_a_resume(projects, monkeypatch, began_cached):
    case = {"batch": 4, "cache": "ram"}
    cached = iter([began_cached, began_cached, not began_cached])  # of both trainings, and of the resumed one
    monkeypatch.setattr(YoloTrainDataset, "check_cache_ram", _allow_cache(cached))
    _check_same_files(projects, 1, case)


def _allow_cache(answers):
    def check(dataset):
        if not dataset.augment:  # val images
            return True
        if not (allowed := next(answers)):
            dataset.cache = None
        return allowed

    return check


@pytest.mark.slow
@pytest.mark.fault(4, "SIGKILL after an epoch")
def test_training_killed_by_a_signal_gives_the_same_files(projects):
    case = {"batch": 4, "nbs": 16, "cache": False, "save_period": 1}
    whole, parts = projects
    expected = _train(_build_job(whole, case))
    code = KILLED.format(code=str(trainings.CONF.parent), root=str(parts), case=case, epoch=2)
    killed = subprocess.run([sys.executable, "-c", code], env=os.environ, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    job = _build_job(parts, case, fresh=False)
    assert load_newest_checkpoint(job.folder)["epoch"] == 1
    assert _train(job).weights == expected.weights
