"""Which process of a training failed first, and what the user is told."""

from __future__ import annotations

import itertools
import signal

import pytest

from pipeline.yolo.distributed.rank_failure import RankFailure, choose_cause, describe_failure

SENTENCE = RankFailure(1, "1", 1, "the memory is not enough", is_expected=True)
KILLED = RankFailure(1, "1", -signal.SIGKILL)
CRASHED = RankFailure(1, "1", 1, "KeyError: 3")
SILENT = RankFailure(1, "1", silent_seconds=46.0)
ENDED = RankFailure(1, "1", 7)
ABORTED = RankFailure(0, "0", -signal.SIGABRT)
LOST = RankFailure(0, "0", 1, "RuntimeError: Connection closed by peer", lost_peer=True)


@pytest.mark.parametrize("cause", [SENTENCE, KILLED, CRASHED, SILENT, ENDED])
@pytest.mark.parametrize("consequence", [LOST, ABORTED])
def test_a_process_that_lost_another_one_is_not_the_cause(cause, consequence):
    if (cause, consequence) == (ENDED, ABORTED):  # they say equally little: the first one counts
        assert choose_cause([cause, consequence]) == cause
        return
    for failures in itertools.permutations([cause, consequence]):
        assert choose_cause(failures) == cause


def test_the_only_failure_is_the_cause():
    assert choose_cause([LOST]) == LOST


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (KILLED, "process 1 of the training (1) was killed by SIGKILL, perhaps for lack of memory, and"),
        (
            RankFailure(0, "cpu", -signal.SIGSEGV),
            "process 0 of the training (cpu) was killed by SIGSEGV,",
        ),
        (RankFailure(0, "cpu", -200), "was killed by signal 200"),
        (CRASHED, "failed (KeyError: 3)"),
        (LOST, "lost another process (RuntimeError: Connection closed by peer)"),
        (SILENT, "gave no sign of life for 46 s"),
        (ENDED, "ended early with status 7"),
    ],
)
def test_sentence_says_what_happened_and_that_the_training_can_go_on(failure, words):
    told = describe_failure(failure, "folder/rank1.log")
    assert words in told
    assert "; its output is in folder/rank1.log; run it again: the training goes on from its" in told
    assert "output is in" not in describe_failure(failure, "")


def test_an_expected_error_is_told_as_it_is():
    assert describe_failure(SENTENCE, "folder/rank1.log") == "the memory is not enough"
