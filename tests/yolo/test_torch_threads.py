"""Number of torch threads of a training and of a prediction on the CPU, beside real busy processes."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest
import torch
from torch import nn
from ultralytics.utils import NUM_THREADS

from pipeline.core.metric_names import THREADS
from pipeline.runtime.worker_count import count_available_cores
from pipeline.yolo import torch_threads
from pipeline.yolo.torch_threads import TorchThreads
from pipeline.yolo.training.train import build_trainer
from pipeline.yolo.ultralytics_environment import THREADS_VARIABLE, remember_requested_threads
from tests import trainings

ALL = count_available_cores(physical=True)
PATIENCE = 20
"""Seconds within which a loaded machine has surely shown its load."""


@pytest.fixture(autouse=True)
def _as_before(monkeypatch):
    before = torch.get_num_threads()
    torch_threads._TOLD.clear()
    yield
    torch.set_num_threads(before)
    monkeypatch.undo()
    remember_requested_threads()


@pytest.fixture
def asks(monkeypatch):
    """Set the user's OMP_NUM_THREADS; None: not set."""

    def ask(number):
        if number is None:
            monkeypatch.delenv(THREADS_VARIABLE, raising=False)
        else:
            monkeypatch.setenv(THREADS_VARIABLE, number)
        remember_requested_threads()

    return ask


@contextmanager
def busy_processes(number):
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(number)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


@pytest.mark.parametrize(
    ("environment", "expected"), [(None, ALL), ("1", 1), ("3", 3), ("", ALL), ("0", ALL), ("some", ALL)]
)
def test_threads_are_all_cores_or_as_many_as_the_environment_says(asks, environment, expected):
    asks(environment)
    TorchThreads(None, stage="finetune")
    assert torch.get_num_threads() == expected


def test_the_configuration_comes_before_the_environment(asks):
    asks("3")
    with TorchThreads(2, stage="finetune") as threads:
        assert torch.get_num_threads() == 2
        assert threads.read_average() == pytest.approx(2.0)


def test_more_threads_than_cores_are_used_as_asked_for_with_a_word(capsys):
    TorchThreads(count_available_cores() + 1, stage="finetune")
    assert torch.get_num_threads() == count_available_cores() + 1
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize(("fast", "expected"), [(True, 3), ("gpu", 3), (False, NUM_THREADS)])
def test_training_uses_the_threads_of_the_environment_only_with_fast(tmp_path, asks, fast, expected):
    asks("3")
    trainings.dataset(tmp_path)
    build_trainer(trainings.job(tmp_path, fast=fast))
    assert torch.get_num_threads() == expected


@pytest.mark.parametrize("fast", [True, False])
def test_training_uses_the_threads_of_the_configuration(tmp_path, fast):
    trainings.dataset(tmp_path)
    build_trainer(trainings.job(tmp_path, fast=fast, threads=2))
    assert torch.get_num_threads() == 2


@pytest.mark.skipif(ALL < 2, reason="needs 2 cores")
def test_the_number_falls_within_one_long_step_and_the_results_are_whole(asks, capsys):
    """One forward and backward pass that lasts until the load was seen, as beside a busy process."""
    asks(None)
    threads = TorchThreads(None, stage="finetune")
    network = nn.Sequential(nn.Linear(64, 64), nn.Tanh())
    network[1].i = 0
    image = torch.ones(8, 64)
    with threads:
        start, used = torch.get_num_threads(), []
        with busy_processes(2 * count_available_cores()):
            output, end = image, time.monotonic() + PATIENCE
            while torch.get_num_threads() > 1 and time.monotonic() < end:
                output = network(output)
                used.append(torch.get_num_threads())
            output.sum().backward()
        average = threads.read_average()
    assert used[-1] == 1
    assert 1 <= average <= start
    assert network[0].weight.grad.isfinite().all()
    assert (start == 1) or ("1 thread instead of" in capsys.readouterr().err)
    assert not nn.modules.module._global_forward_pre_hooks


@pytest.mark.skipif(ALL < 2, reason="needs 2 cores")
def test_the_number_falls_within_a_backward_pass(asks):
    asks(None)
    threads = TorchThreads(None, stage="finetune")
    first, second = nn.Linear(4, 4), nn.Linear(4, 4)
    first.i = second.i = 0
    with threads:
        torch.set_num_threads(threads._number)
        hidden = first(torch.ones(1, 4))
        output = second(hidden)
        before = torch.get_num_threads()
        threads._controller.threads = before % ALL + 1  # as the thread that measures the load does
        output.sum().backward()
        assert torch.get_num_threads() == before % ALL + 1


@pytest.mark.skipif(ALL < 2, reason="needs 2 cores")
def test_number_that_swings_is_told_once_a_minute_also_by_a_second_series(asks, capsys, monkeypatch):
    asks(None)
    for _ in range(2):
        with TorchThreads(None, stage="evaluate") as threads:
            for number in (1, 2, 1, 2, 1):
                threads._controller.threads = number
                threads.begin_step()
                assert torch.get_num_threads() == number
    told = [line for line in capsys.readouterr().err.splitlines() if "instead of" in line]
    assert len(told) == 1
    with TorchThreads(None, stage="evaluate") as threads:
        threads._controller.threads = ALL
        monkeypatch.setattr(torch_threads, "MIN_NOTICE_SECONDS", 0.0)
        threads.begin_step()
        threads.begin_step()
    assert f"evaluate: {ALL} threads instead of " in capsys.readouterr().err


class ThreadsOfAWorker(torch.utils.data.Dataset):
    """Transforms that are modules, such as those of classify."""

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> int:
        nn.Identity()(torch.ones(1))
        return torch.get_num_threads()


@pytest.mark.skipif(ALL < 2, reason="needs 2 cores")
def test_worker_processes_keep_their_one_thread(asks):
    """The number may change while images are decoded, before the workers are forked."""
    asks(None)
    loader = torch.utils.data.DataLoader(
        ThreadsOfAWorker(), num_workers=1, multiprocessing_context="fork", batch_size=None
    )
    with TorchThreads(None, stage="finetune") as threads:
        threads._number, threads._controller.threads = 1, 2
        assert [*loader] == [1]


def train(folder, *, threads):
    folder.mkdir(exist_ok=True)
    trainings.dataset(folder, train=4, val=1)
    return trainings.run(trainings.job(folder, threads=threads, epochs=1, imgsz=32))


def test_the_threads_of_a_training_are_recorded(tmp_path, asks):
    asks("2")
    result = train(tmp_path, threads=1)
    assert result.effective["threads"] == 1
    assert [row[THREADS] for row in result.rows] == [1.0]


@pytest.mark.slow  # two threads beside the other test processes of `make test` take 20 times as long
def test_equal_threads_give_equal_bytes(tmp_path):
    first, second = (train(tmp_path / name, threads=2) for name in ("first", "second"))
    assert first.weights == second.weights
    assert first.effective["threads"] == 2


@pytest.mark.skipif(ALL < 2, reason="one core needs no measurement")
@pytest.mark.fault(13, "limits of memory, threads, files (ulimit)")
def test_system_without_a_further_thread_keeps_the_number(asks):
    asks(None)
    before = threading.stack_size(1 << 46)  # bytes: a thread with such a stack cannot start
    try:
        with TorchThreads(None, stage="finetune"):
            assert torch.get_num_threads() >= 1
    finally:
        threading.stack_size(before)
