"""Progress on a real terminal (a pty) and in a log (a pipe)."""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

import pytest

from pipeline.runtime import progress as progress_module
from pipeline.runtime.progress import Progress, format_duration, print_notice

pty, termios, fcntl = (pytest.importorskip(name) for name in ("pty", "termios", "fcntl"))


class Output:
    """A stream to write to, and what was written."""

    def __init__(self, stream: TextIO, reading: int) -> None:
        self.stream, self._reading = stream, reading

    def read(self) -> str:
        """Return what was written since the last call."""
        self.stream.flush()
        os.set_blocking(self._reading, False)
        parts = []
        with suppress(BlockingIOError):
            while part := os.read(self._reading, 1 << 16):
                parts.append(part)
        return b"".join(parts).decode()


@contextmanager
def opened(reading: int, writing: int) -> Iterator[Output]:
    with os.fdopen(writing, "w") as stream:
        yield Output(stream, reading)
    os.close(reading)


@pytest.fixture
def log():
    with opened(*os.pipe()) as output:
        yield output


@pytest.fixture
def terminal(monkeypatch):
    """A terminal of 60 columns that does not translate line ends."""
    monkeypatch.setenv("TERM", "xterm")
    reading, writing = pty.openpty()
    fcntl.ioctl(writing, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
    modes = termios.tcgetattr(writing)
    modes[1] &= ~termios.OPOST
    termios.tcsetattr(writing, termios.TCSANOW, modes)
    with opened(reading, writing) as output:
        yield output


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(progress_module, "time", clock)
    return clock


def work(progress: Progress, clock: Clock, *, steps: int, seconds: float, n: int = 1) -> None:
    for _ in range(steps):
        clock.now += seconds
        progress.update(n)


def test_a_log_has_a_plain_line_every_few_seconds_and_a_final_one(log, clock):
    with Progress("prepare", 10_000, stream=log.stream) as progress:
        work(progress, clock, steps=49, seconds=0.1, n=20)
        assert log.read() == ""
        work(progress, clock, steps=11, seconds=0.1, n=20)
        assert log.read() == "prepare: 1,000 of 10,000 images (10%), about 45 s left\n"
        work(progress, clock, steps=440, seconds=0.1, n=20)
        lines = log.read().splitlines()
        assert len(lines) == 8
        assert lines[-1] == "prepare: 9,080 of 10,000 images (90%), about 5 s left"
    assert log.read() == "prepare: 10,000 of 10,000 images (100%) in 50 s\n"


def test_a_log_has_no_control_characters(log, clock):
    with Progress("prepare", 500, stream=log.stream) as progress:
        work(progress, clock, steps=500, seconds=1)
    text = log.read()
    assert text.count("\n") > 10
    assert not re.search(r"[^ -~\n]", text)


def test_long_work_writes_fewer_lines(log, clock):
    with Progress("prepare", 7200, stream=log.stream) as progress:
        work(progress, clock, steps=7200, seconds=1)
    lines = log.read().splitlines()
    assert 200 < len(lines) < 400
    assert lines[-1] == "prepare: 7,200 of 7,200 images (100%) in 2 h 0 min"


@pytest.mark.parametrize("seconds", [0.0, 0.04])
def test_short_work_writes_nothing_to_a_log(log, clock, seconds):
    with Progress("prepare", 100, stream=log.stream) as progress:
        work(progress, clock, steps=100, seconds=seconds)
    assert log.read() == ""


def test_short_work_draws_nothing_on_a_terminal(terminal, clock):
    with Progress("prepare", 100, stream=terminal.stream) as progress:
        work(progress, clock, steps=100, seconds=0.001)
    assert terminal.read() == ""


def test_a_terminal_has_one_line_that_is_redrawn(terminal, clock):
    with Progress("prepare", 100, stream=terminal.stream) as progress:
        work(progress, clock, steps=10, seconds=1)
        drawn = terminal.read().split("\r")[1:]
        assert drawn[0] == "prepare: 1 of 100 images (1%), about 2 min left"
        assert drawn[-1].rstrip() == "prepare: 10 of 100 images (10%), about 2 min left"
        work(progress, clock, steps=90, seconds=1)
        assert "\n" not in terminal.read()
    assert re.fullmatch(r"\rprepare: 100 of 100 images \(100%\) in 2 min *\n", terminal.read())


def test_a_terminal_is_redrawn_ten_times_a_second_at_most(terminal, clock):
    with Progress("prepare", 100_000, stream=terminal.stream) as progress:
        work(progress, clock, steps=10_000, seconds=0.001)
    assert 50 < terminal.read().count("\r") <= 100


def test_a_line_is_cut_at_the_width_of_the_terminal(terminal, clock):
    with Progress("prepare", None, unit=f"blocks of {40 * 'x'} compared", stream=terminal.stream) as progress:
        work(progress, clock, steps=3, seconds=1)
        assert {len(line) for line in terminal.read().split("\r")[1:]} == {59}


def test_a_terminal_without_cursor_movement_gets_plain_lines(terminal, clock, monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    with Progress("prepare", 100, stream=terminal.stream) as progress:
        work(progress, clock, steps=7, seconds=1)
    assert "\r" not in terminal.read()


def test_the_time_left_follows_the_speed_of_the_last_half_minute(log, clock):
    """The first images are known from the last run, and cost nothing."""
    with Progress("prepare", 10_000, stream=log.stream) as progress:
        work(progress, clock, steps=5, seconds=0.5, n=1000)
        work(progress, clock, steps=60, seconds=1, n=10)
    assert log.read().splitlines()[-2].endswith("images (55%), about 7 min left")


def test_earlier_epochs_of_a_resumed_training_do_not_count_as_speed(log, clock):
    with Progress("finetune", 20, unit="epochs", done=10, stream=log.stream) as progress:
        clock.now += 60
        progress.update(note="mAP50-95 0.512")
        assert log.read() == "finetune: 11 of 20 epochs (55%), about 9 min left, mAP50-95 0.512\n"
    assert log.read() == "finetune: 11 of 20 epochs (55%) in 60 s, mAP50-95 0.512\n"


def test_without_a_total_only_the_count_is_shown(log, clock):
    with Progress("unpack", None, unit="files", stream=log.stream) as progress:
        work(progress, clock, steps=7, seconds=1)
    assert log.read() == "unpack: 5 files\nunpack: 7 files in 7 s\n"


def test_track_counts_the_items_that_were_worked_on(log, clock):
    progress = Progress("unpack", 4, unit="files", stream=log.stream)
    for _ in progress.track(range(4)):
        clock.now += 2
    assert log.read() == "unpack: 3 of 4 files (75%), about 2 s left\nunpack: 4 of 4 files (100%) in 8 s\n"


def test_interrupted_work_has_no_final_line(log, clock):
    progress = Progress("prepare", 100, stream=log.stream)
    with suppress(KeyboardInterrupt), progress:
        work(progress, clock, steps=6, seconds=1)
        raise KeyboardInterrupt
    progress.close()
    assert log.read() == "prepare: 5 of 100 images (5%), about 2 min left\n"


def test_interrupted_work_leaves_the_cursor_on_a_new_line(terminal, clock):
    progress = Progress("prepare", 100, stream=terminal.stream)
    with suppress(KeyboardInterrupt), progress:
        work(progress, clock, steps=1, seconds=1)
        raise KeyboardInterrupt
    assert terminal.read().endswith("left\n")


def test_a_second_close_writes_nothing(log, clock):
    progress = Progress("prepare", 10, stream=log.stream)
    work(progress, clock, steps=10, seconds=1)
    progress.close()
    assert log.read().count("\n") == 2
    progress.close()
    assert log.read() == ""


def test_a_notice_replaces_the_progress_line(terminal, clock, monkeypatch):
    monkeypatch.setattr("sys.stderr", terminal.stream)
    with Progress("prepare", 100) as progress:
        work(progress, clock, steps=1, seconds=1)
        line = terminal.read().removeprefix("\r")
        print_notice("tracking: MLflow is away")
        assert terminal.read() == f"\r{' ' * len(line)}\rtracking: MLflow is away\n"
        work(progress, clock, steps=1, seconds=1)
        assert terminal.read().startswith("\rprepare: 2 of 100")
    print_notice("tracking: done")
    assert terminal.read().endswith("\ntracking: done\n")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "1 s"), (0.4, "1 s"), (40.2, "40 s"), (89.4, "89 s"), (90, "2 min"), (180, "3 min"),
     (3590, "1 h 0 min"), (7500, "2 h 5 min"), (200_000, "55 h 33 min")],
)  # fmt: skip
def test_durations_are_rounded(seconds, text):
    assert format_duration(seconds) == text


def test_a_narrow_terminal_shows_the_share_instead_of_cutting_the_metric(terminal, clock):
    with Progress("finetune", 240, unit="batches", stream=terminal.stream) as progress:
        for _ in range(120):
            clock.now += 1
            progress.update(note="epoch 6, val mAP50-95 0.56")
        line = terminal.read().split("\r")[-1]
    assert line.strip() == "finetune: 50%, about 2 min left, epoch 6, val mAP50-95 0.56"
