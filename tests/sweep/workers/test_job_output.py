"""Why a job failed, by its output."""

from __future__ import annotations

import pytest

from pipeline.sweep.workers.job_output import JobOutput

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
    ],
)
def test_reason_is_a_message_an_error_or_a_signal(lines, code, reason):
    output = JobOutput()
    for line in lines:
        output.add_line(line)
    assert output.explain_failure(code) == reason
