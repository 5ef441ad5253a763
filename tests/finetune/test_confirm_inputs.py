"""What is confirmed after a training: its own error is not hidden, and mixed checkpoints are deleted."""

from __future__ import annotations

import pytest

from pipeline.core.errors import ChangedInputError, UserError
from pipeline.core.stages import StageGuard
from pipeline.finetune.confirm_inputs import confirm_training_inputs
from pipeline.yolo.job import ULTRALYTICS_FOLDER


@pytest.mark.parametrize("end", [None, UserError, KeyboardInterrupt])
@pytest.mark.parametrize("change", [None, UserError, ChangedInputError])
def test_checkpoints_go_where_images_changed_and_the_first_error_is_raised(tmp_path, end, change):
    decoded = tmp_path / ULTRALYTICS_FOLDER / "images" / "a.npy"
    decoded.parent.mkdir(parents=True)
    for path in (tmp_path / "000001-a.ckpt", decoded):
        path.write_bytes(b"x")

    def confirm() -> None:
        if change:
            raise change("changed")

    def train() -> None:
        with confirm_training_inputs(StageGuard(b"", confirm), tmp_path):
            if end:
                raise end("the end")

    expected = (end, "the end") if end else (change, "changed")
    if expected[0]:
        with pytest.raises(expected[0], match=expected[1]):
            train()
    else:
        train()
    assert decoded.exists() == (change is not ChangedInputError)
    assert [*tmp_path.glob("*.ckpt")] == ([] if change is ChangedInputError else [tmp_path / "000001-a.ckpt"])
