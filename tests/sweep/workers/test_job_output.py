"""Why a job failed, by its output."""

from __future__ import annotations

import pytest

from pipeline.sweep.workers.job_output import JobOutput
from pipeline.sweep.workers.memory_kills import count_memory_kills

PROGRESS = "finetune: 3 of 4 batches (75%)"
MEMORY = "was ended by SIGKILL, as by a system without memory; its last message:"
TRACEBACK = ("Traceback (most recent call last):", '  File "a.py"', "KeyError: 'a'")


def exited(stage: str, code: int) -> str:
    return f"ERROR: failed to reproduce '{stage}': failed to run: {stage}, exited with {code}"


@pytest.mark.fault(14, "a job is killed or fails")
@pytest.mark.parametrize(
    ("lines", "code", "reason"),
    [
        ([PROGRESS, "finetune: it explodes", exited("finetune", 1)], 255, "finetune: it explodes"),
        ([PROGRESS, exited("finetune", -9)], 255, f"finetune {MEMORY} {PROGRESS}"),
        ([exited("prepare", 137)], 255, f"prepare {MEMORY} none"),
        ([exited("finetune", -11)], 255, "finetune was ended by SIGSEGV; its last message: none"),
        ([PROGRESS, exited("finetune", 143)], 255, "finetune was stopped by SIGTERM"),
        ([exited("augment", 3)], 255, "augment ended with exit code 3 and without a message"),
        ([PROGRESS, *TRACEBACK, exited("finetune", 1)], 255, "KeyError: 'a'"),
        (["ERROR: unexpected error - no such remote"], 255, "unexpected error - no such remote"),
        ([], -9, f"dvc {MEMORY} none"),
        ([], 255, "dvc ended with exit code 255 and without a message"),
        (
            ["no such module", exited("own", 2)],
            255,
            "own ended with exit code 2; its last line: no such module",
        ),
        ([*TRACEBACK[:2], "MemoryError", exited("finetune", 1)], 255, "it ran out of memory: MemoryError"),
    ],
)
def test_reason_is_a_message_an_error_or_a_signal(lines, code, reason):
    output = JobOutput()
    for line in lines:
        output.add_line(line)
    assert output.explain_failure(code) == reason


@pytest.mark.fault(14, "a job runs out of memory")
def test_a_kill_is_named_as_one_for_memory_where_the_system_counted_it():
    output = JobOutput()
    output.add_line(exited("finetune", -9))
    assert output.find_signal(255) == 9
    assert output.explain_failure(255, out_of_memory=True).startswith("it ran out of memory")


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"sys/fs/cgroup/memory.events": "low 0\noom_kill 3\n", "proc/vmstat": "oom_kill 9"}, 3),
        ({"sys/fs/cgroup/memory/memory.oom_control": "under_oom 0\noom_kill 2\n"}, 2),
        ({"proc/vmstat": "nr_free 7\noom_kill 9\n"}, 9),
        ({"proc/vmstat": "nr_free 7\n"}, 0),
        ({}, 0),
    ],
)
def test_kills_for_memory_are_those_of_the_container_where_it_counts_them(tmp_path, files, expected):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert count_memory_kills(tmp_path) == expected


def test_stages_that_began_or_were_restored_are_known():
    output = JobOutput()
    for line in (
        "Running stage 'compose':",
        "Stage 'prepare' didn't change, skipping",
        "Stage 'augment' is cached - skipping run, checking out outputs",
        "Running stage 'finetune':",
    ):
        output.add_line(line)
    assert output.stages == {"compose": False, "prepare": True, "augment": True, "finetune": False}
    output.add_line("finetune: trained before, outputs written again; mAP50-95 0.5")
    assert output.stages["finetune"]


def test_a_pruned_training_is_told_by_its_exit_code():
    output = JobOutput()
    output.add_line(exited("finetune", 3))
    assert output.is_pruned
    output.add_line(exited("evaluate", 3))
    assert not output.is_pruned
