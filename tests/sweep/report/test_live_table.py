from __future__ import annotations

import contextlib
import io
import os
import pty
import re
import sys
import threading

import pytest
from rich.console import Console

from pipeline.sweep.job import EpochReported, JobEnded, StageBegan
from pipeline.sweep.report import live_table
from pipeline.sweep.report.live_table import LiveTable
from tests.sweep.report.job_results import make_job, make_result


@pytest.fixture(autouse=True)
def terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)


def run_jobs(table: LiveTable, count: int = 3) -> None:
    """Train jobs, of which the last one still runs."""
    table.set_plan(10, capacity=1)
    for number in range(count):
        table.show_started(make_job(number, label=f"lr0={number}e-3 augment=größer"))
        table.handle(StageBegan(number, "prepare", restored=True))
        table.handle(StageBegan(number, "finetune", restored=False))
        table.handle(EpochReported(number, 3, 20, "mAP50-95", 0.25, lambda _: None))
        if number < count - 1:
            table.handle(JobEnded(number, make_result(number, 0.4, epochs=20, seconds=65.0)))


class TerminalText(io.TextIOWrapper):
    """A text stream that says that it is a terminal."""

    def __init__(self, encoding: str) -> None:
        super().__init__(io.BytesIO(), encoding=encoding)

    def isatty(self) -> bool:
        return True


def draw(columns: int, lines: int, *, jobs: int = 3, encoding: str = "utf-8") -> list[str]:
    stream = TerminalText(encoding)
    table = LiveTable("rates-1a2b3c", stream=stream)
    run_jobs(table, jobs)
    console = Console(file=stream, width=columns, height=lines, color_system=None, legacy_windows=False)
    with console.capture() as capture:
        console.print(table.render(console))
    return capture.get().splitlines()


def test_the_table_shows_each_job_and_below_it_what_is_best_and_left():
    title, head, first, *_, last, counts, best = (line.rstrip() for line in draw(100, 30))
    assert title == "rates-1a2b3c · val mAP50-95"
    assert head.split() == ["job", "what", "differs", "epoch", "val", "best", "state", "time"]
    assert re.split(r"\s{2,}", first.strip()) == [
        "0",
        "lr0=0e-3 augment=größer",
        "20 of 20",
        "0.4000",
        "0.4000",
        "trained",
        "65 s",
    ]
    assert "3 of 20  0.2500  0.2500  training" in last
    assert counts.startswith("2 of 10 points done, 1 running, about ")
    assert best == "highest val: job 0, 0.4000, lr0=0e-3 augment=größer"


@pytest.mark.parametrize(("columns", "lines"), [(60, 12), (60, 40), (200, 15), (40, 10)])
def test_a_table_of_200_jobs_fits_any_terminal(columns, lines):
    drawn = draw(columns, lines, jobs=200)
    assert len(drawn) <= max(lines, live_table.MIN_ROWS + 6) - 1
    assert max(map(len, drawn)) <= columns
    assert any("training" in line for line in drawn)
    assert any("jobs not shown" in line for line in drawn)


def test_a_terminal_without_unicode_gets_what_it_can_write():
    drawn = draw(60, 20, encoding="ascii")
    assert "\n".join(drawn).isascii()
    assert max(map(len, drawn)) <= 60
    assert any("gr\\xf6" in line for line in drawn)


def test_without_a_terminal_a_plain_line_tells_the_start_and_the_end_of_a_job(monkeypatch):
    stream = io.StringIO()
    with LiveTable("rates", stream=stream) as table:
        run_jobs(table)
        table.print("a note\nof two lines")
        monkeypatch.setattr(live_table, "LOG_SECONDS", 0.0)
        table.handle(EpochReported(2, 4, 20, "mAP50-95", 0.2, lambda _: None))
    lines = stream.getvalue().splitlines()
    name = "sweep: job 0 (lr0=0e-3 augment=größer):"
    assert lines[:2] == [f"{name} started", f"{name} trained in 65 s, val mAP50-95 0.4000"]
    assert lines[2].startswith("sweep: 1 of 10 points done, 0 running, ")
    assert "highest val: job 0, 0.4000" in lines[2]
    assert sum(line.endswith("started") for line in lines) == 3
    assert lines[-3:-1] == ["sweep: a note", "sweep: of two lines"]
    assert lines[-1].endswith("epoch 4 of 20, val mAP50-95 0.2000, best 0.2500")
    assert not any("epoch 3 of 20" in line for line in lines)  # at most one line in ten seconds
    assert "\x1b" not in stream.getvalue()


def test_a_job_that_waits_for_images_of_another_one_is_not_called_started():
    stream = io.StringIO()
    with LiveTable("rates", stream=stream) as table:
        table.show_started(make_job(0))
        table.show_started(make_job(1))
        table.handle(StageBegan(0, "prepare", restored=False))
    (line,) = stream.getvalue().splitlines()
    assert "job 0" in line


@pytest.mark.parametrize("name", ["NO_COLOR", "TERM"])
def test_a_dumb_terminal_gets_plain_lines(monkeypatch, name):
    monkeypatch.setenv(name, "dumb")
    stream = TerminalText("utf-8")
    with LiveTable("rates", stream=stream) as table:
        run_jobs(table)
    stream.seek(0)
    text = stream.read()
    assert "started" in text
    assert "\x1b" not in text


def read_all(handle: int, parts: list[bytes]) -> None:
    """Read what is written to a pseudo terminal until it is closed; else its writer would wait."""
    with contextlib.suppress(OSError):
        while part := os.read(handle, 4096):
            parts.append(part)
    os.close(handle)


def test_on_a_terminal_the_table_is_redrawn_below_what_is_printed(capsys):
    """On a real pseudo terminal; other modules print, too."""
    controller, terminal = pty.openpty()
    parts: list[bytes] = []
    reader = threading.Thread(target=read_all, args=(controller, parts))
    reader.start()
    with open(terminal, "w") as stream, LiveTable("rates", stream=stream) as table:  # noqa: PTH123 - a handle
        run_jobs(table)
        table.print("a note")
        sys.stderr.write("another module\n")
        table._live.refresh()
    reader.join(10)
    text = b"".join(parts).decode()
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    assert "sweep: a note\r\n" in plain
    assert plain.rindex("highest val: job 0") > plain.rindex("a note")
    assert "another module" in plain + capsys.readouterr().err
    assert text.count("\x1b[?25h") == 1  # the cursor is back
