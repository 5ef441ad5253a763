"""A checkpoint that finds classes by words beside trained models: asked for the classes of the data."""

from __future__ import annotations

import shutil
import sys

import pytest

from pipeline.__main__ import main
from pipeline.comparison.models.candidates import Candidate
from pipeline.comparison.models.collect_models import ModelCollector
from pipeline.comparison.models.zero_shot import (
    find_zero_shot_weights,
    predict_zero_shot,
    require_zero_shot,
)
from pipeline.config.groups.data import DataConfig
from pipeline.config.groups.zero_shot import ZeroShotConfig
from pipeline.core.errors import UserError
from pipeline.dataset.history import WORKSPACE
from pipeline.iterations.iteration import Iteration
from pipeline.storage.files import hash_file
from pipeline.yolo.inference.model_file import load_checkpoint_model
from tests.builders import prepared_dataset
from tests.comparison.conftest import CONF, TARGET
from tests.comparison.stored import NAMES
from tests.promptable import make_tokenizer, save_encoder, save_promptable

WORDS = {"disc": "round thing"}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A project with prepared data, an untrained checkpoint of YOLOE, and a text encoder beside it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setitem(sys.modules, "clip", make_tokenizer())
    images = {"train": 1, "val": 2, "test": 3}
    prepared_dataset(tmp_path / "data/prepared", images=images, pixels=64, classes=NAMES)
    save_promptable(tmp_path / "yoloe.pt")
    save_encoder(tmp_path / "mobileclip_blt.ts")
    return tmp_path


@pytest.fixture
def asking(config):
    """A configuration that asks yoloe.pt."""
    return config.model_copy(
        update={
            "zero_shot": ZeroShotConfig(weights="yoloe.pt", prompts=WORDS, text_encoder=None),
            "data": DataConfig.model_construct(task="auto"),
        }
    )


def test_a_promptable_file_is_asked_for_the_classes_of_the_data(folder, asking):
    file = folder / "yoloe.pt"
    iteration = Iteration(str(file), "file", file.name, file=file)
    collector = ModelCollector(asking, TARGET, folder / "compared")
    found = collector.collect([Candidate("yoloe.pt", (iteration,))])
    (test,) = found.models[0].trainings
    assert test.names == NAMES
    assert any(len(each.scores) for each in test.detections)
    assert any("yoloe.pt finds the classes by words" in remark for remark in found.remarks)
    assert any("round thing, square, bar" in remark for remark in found.remarks)

    alone = predict_zero_shot(asking, WORKSPACE, folder / "alone", stage="learning-curve")
    assert alone.sha256 == hash_file(folder / "yoloe.pt")
    assert alone.words == {"disc": "round thing", "square": "square", "bar": "bar"}
    assert [each.scores.tolist() for each in alone.test.detections] == [
        each.scores.tolist() for each in test.detections
    ]
    require_zero_shot(asking)


def test_a_file_whose_classes_were_set_before_is_not_called_untrained(folder, asking, capsys):
    save_promptable(folder / "yoloe.pt", ("square", "bar", "round thing"))
    found = predict_zero_shot(asking, WORKSPACE, folder / "alone", stage="learning-curve")
    assert any("were set before" in remark for remark in found.remarks)
    assert not any("without training" in remark for remark in found.remarks)
    shutil.copytree(CONF, folder / "conf")
    assert main(["zero-shot", "yoloe.pt", "--words", "disc=round thing", "--output", "asked.pt"]) == 0
    assert "without training" not in capsys.readouterr().out


def test_the_command_writes_weights_that_find_the_classes(folder, capsys, monkeypatch):
    shutil.copytree(CONF, folder / "conf")
    words = ["--words", "disc=round thing"]
    assert main(["zero-shot", "yoloe.pt", *words, "--output", "asked.pt"]) == 0
    assert "disc: round thing\nsquare: square\n" in capsys.readouterr().out
    model = load_checkpoint_model(folder / "asked.pt", "detect", "predict")
    assert tuple(model.names.values()) == NAMES
    for wrong in (
        ["--output", "asked.pt"],
        ["--words", "disc"],
        ["--words", "disk=x"],
        ["--output", "a.onnx"],
    ):
        assert main(["zero-shot", "yoloe.pt", "--output", "other.pt", *wrong]) == 1
    assert main(["zero-shot", str(folder / "yoloe.pt")], folder / "data") == 0  # typed in a subfolder
    assert (folder / "models/zero-shot.pt").is_file()
    monkeypatch.setitem(sys.modules, "clip", None)
    assert main(["zero-shot", "yoloe.pt", "--output", "other.pt"]) == 1
    assert not (folder / "other.pt").exists()


def test_what_is_missing_is_told_before_the_work(folder, asking, config, monkeypatch):
    (folder / "mobileclip_blt.ts").rename(folder / "other.ts")
    named = {"zero_shot": asking.zero_shot.model_copy(update={"text_encoder": "absent.ts"})}
    with pytest.raises(UserError, match=r"zero_shot\.text_encoder"):
        require_zero_shot(asking.model_copy(update=named))
    named["zero_shot"] = asking.zero_shot.model_copy(update={"text_encoder": "other.ts"})
    require_zero_shot(asking.model_copy(update=named))
    save_encoder(folder / "other.ts", features=8)
    with pytest.raises(UserError, match="8 numbers"):
        require_zero_shot(asking.model_copy(update=named))
    for task in ("pose", "classify"):
        data = {"data": asking.data.model_copy(update={"task": task})}
        with pytest.raises(UserError, match=f"the data is for {task}"):
            require_zero_shot(asking.model_copy(update=data))
    monkeypatch.setitem(sys.modules, "clip", None)
    with pytest.raises(UserError, match="package clip"):
        require_zero_shot(asking)
    with pytest.raises(UserError, match=r"zero_shot\.weights names no model"):
        find_zero_shot_weights(config)
