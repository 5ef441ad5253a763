"""The learning rate of a training that was stopped: that of its first session, or a refusal."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import yaml

from pipeline.core.errors import UserError
from pipeline.finetune.automatic.learning_rate import (
    SCRATCH_RATE,
    choose_learning_rate,
    describe_low_rate,
    find_usual_rate,
    read_rate_test,
    write_rate_test,
)
from pipeline.finetune.checkpoint_folder import RATE_TEST_FILE
from pipeline.yolo.rate_test.choose_rate import RatePoint, RateTest
from tests import trainings

TEST = RateTest(0.0012, "a reason", (RatePoint(0.001, 1.0, 1.0), RatePoint(0.002, 0.9, 0.95)))


@pytest.mark.parametrize("is_resumed", [False, True])
def test_a_test_of_an_earlier_session_is_used_again(tmp_path, is_resumed):
    write_rate_test(tmp_path / RATE_TEST_FILE, TEST)
    job = SimpleNamespace(folder=tmp_path)
    assert choose_learning_rate(job, 0.5, is_resumed=is_resumed) == TEST


@pytest.mark.fault(4, "a lost or changed record of the learning rate of a stopped training")
@pytest.mark.parametrize("content", [None, b"", b"[]", b"{}", b'{"lr0": 1, "sha256": ""}', "changed"])
def test_a_resumed_training_without_its_test_is_refused(tmp_path, content):
    path = tmp_path / RATE_TEST_FILE
    if content == "changed":
        write_rate_test(path, TEST)
        path.write_text(path.read_text().replace("0.0012", "0.0013"))
    elif content is not None:
        path.write_bytes(content)
    assert read_rate_test(path) is None
    with pytest.raises(
        UserError, match=r"rate_test.json is missing or damaged.* delete .* to train from the start"
    ):
        choose_learning_rate(SimpleNamespace(folder=tmp_path), 0.5, is_resumed=True)


def test_the_usual_rate_is_that_of_the_strategy():
    rates = SimpleNamespace(full=0.1, head=0.2, gradual=0.3)
    found = [
        find_usual_rate(
            SimpleNamespace(finetune=SimpleNamespace(strategy=name), model=SimpleNamespace(lr0=rates))
        )
        for name in ("full", "head", "gradual", "scratch")
    ]
    assert found == [0.1, 0.2, 0.3, SCRATCH_RATE]
    assert yaml.safe_load((trainings.CONF / "finetune/scratch.yaml").read_text())["lr0"] == SCRATCH_RATE


@pytest.mark.parametrize(
    ("optimizer", "lr0", "is_said"),
    [("SGD", 0.0005, True), ("MuSGD", 0.0005, True), ("SGD", 0.01, False), ("AdamW", 0.0005, False)],
)
def test_sgd_with_the_usual_rate_of_adamw_is_said(optimizer, lr0, is_said):
    finetune = SimpleNamespace(strategy="full", optimizer=optimizer, lr0=lr0)
    model = SimpleNamespace(lr0=SimpleNamespace(full=0.0005))
    told = describe_low_rate(SimpleNamespace(finetune=finetune, model=model))
    assert (told is not None and "0.01" in told) == is_said
