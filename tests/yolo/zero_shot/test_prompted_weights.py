"""Ask a checkpoint of YOLOE for classes: the written one finds them, and needs no text encoder."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from ultralytics.nn.tasks import SegmentationModel

from pipeline.core.errors import UserError
from pipeline.storage.files import hash_file
from pipeline.yolo.inference.loaded_model import LoadedModel
from pipeline.yolo.inference.model_file import load_checkpoint_model
from pipeline.yolo.training.train import build_trainer
from pipeline.yolo.weights import load_weights
from pipeline.yolo.zero_shot.prompted_weights import (
    ORIGIN,
    ClassPrompts,
    choose_prompts,
    is_promptable,
    load_promptable,
    name_text_model,
    require_promptable,
    write_prompted_weights,
)
from pipeline.yolo.zero_shot.text_encoder import encode_words, find_text_encoder
from tests import trainings
from tests.promptable import make_tokenizer, save_encoder, save_promptable, save_script
from tests.trainings import FOUNDATION

NAMES = ("RBC", "WBC")
WORDS = ("red blood cell", "WBC")
PROMPTS = ClassPrompts(NAMES, WORDS)
OTHERS = ("yoloe-v8n-seg.yaml", "yoloe-26n-seg.yaml")
SETTINGS = {"imgsz": 64, "conf": 1e-6, "iou": 0.7, "max_det": 20, "batch": 2, "device": "cpu", "threads": 1}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with an untrained checkpoint, one that has classes, and a text encoder."""
    place = tmp_path_factory.mktemp("promptable")
    save_promptable(place / "open.pt")
    save_promptable(place / "set.pt", WORDS[::-1])
    save_encoder(place / "mobileclip_blt.ts")
    return place


@pytest.fixture(autouse=True)
def _project(tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def _tokenizer(monkeypatch):
    monkeypatch.setitem(sys.modules, "clip", make_tokenizer())


def _predict(weights, task):
    image = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    with LoadedModel(weights, task=task, settings=SETTINGS) as model:
        return model.names, model.predict([image])[0]


def _ask(weights, target, *, task="detect", prompts=PROMPTS):
    def find(text_model):
        return find_text_encoder(text_model, None, weights=weights, folder=None)

    return write_prompted_weights(weights, target, prompts, task=task, find_encoder=find)


@pytest.mark.parametrize(
    ("words", "expected"),
    [({}, NAMES), ({"RBC": "red blood cell"}, WORDS), ({"RBC": "WBC", "WBC": "RBC"}, NAMES[::-1])],
)
def test_a_class_is_asked_for_by_its_words_or_its_name(words, expected):
    assert choose_prompts(NAMES, words) == (NAMES, expected)


@pytest.mark.parametrize(("words", "wrong"), [({"rbc": "cell"}, "rbc"), ({"RBC": "WBC"}, "2 classes")])
def test_words_that_name_no_class_or_two_are_refused(words, wrong):
    with pytest.raises(UserError, match=wrong):
        choose_prompts(NAMES, words)


@pytest.mark.usefixtures("_tokenizer")
def test_a_checkpoint_that_was_asked_finds_the_classes_without_the_encoder(folder, tmp_path):
    assert _ask(folder / "open.pt", tmp_path / "boxes.pt")
    assert _ask(folder / "open.pt", tmp_path / "masks.pt", task="segment")
    assert torch.load(tmp_path / "boxes.pt", weights_only=False)[ORIGIN] == {
        "words": dict(zip(NAMES, WORDS, strict=True)),
        "weights_sha256": hash_file(folder / "open.pt"),
        "text_model": "mobileclip:blt",
        "text_encoder_sha256": hash_file(folder / "mobileclip_blt.ts"),
    }
    names, boxes = _predict(tmp_path / "boxes.pt", "detect")
    _, masks = _predict(tmp_path / "masks.pt", "segment")
    assert names == NAMES
    assert len(boxes.scores)
    shown = np.isin(
        boxes.scores.round(6), masks.scores.round(6)
    )  # a box without a pixel of its mask is dropped
    assert shown.sum() == len(masks.scores) == len(masks.masks)
    assert not is_promptable(FOUNDATION)


@pytest.mark.usefixtures("_tokenizer")
@pytest.mark.parametrize(
    "network", ["yoloe-11n-seg.yaml", *(pytest.param(file, marks=pytest.mark.slow) for file in OTHERS)]
)
def test_the_written_network_is_an_ordinary_one_with_the_same_outputs(folder, tmp_path, network):
    weights = save_promptable(tmp_path / "own.pt", network=network)
    model = load_promptable(weights)
    found = encode_words(folder / "mobileclip_blt.ts", WORDS)
    with torch.no_grad():
        model.set_classes(list(NAMES), model.model[-1].get_tpe(found))
        image = torch.rand(1, 3, 64, 64)
        expected = model(image)[0]
        write_prompted_weights(
            weights,
            tmp_path / "asked.pt",
            PROMPTS,
            task="segment",
            find_encoder=lambda _: folder / "mobileclip_blt.ts",
        )
        plain = load_weights(tmp_path / "asked.pt")
        outputs = plain(image)[0]
    assert type(plain) is SegmentationModel
    assert plain.yaml["head"][-1][2] == type(plain.model[-1]).__name__
    for here, there in zip(outputs, expected, strict=True):
        torch.testing.assert_close(here, there, rtol=1e-3, atol=1e-4)


def test_classes_that_are_set_already_are_used_under_the_names_of_the_data(folder, tmp_path):
    assert not _ask(folder / "set.pt", tmp_path / "asked.pt")
    names, found = _predict(tmp_path / "asked.pt", "detect")
    assert names == NAMES[::-1]
    _, same = _predict(folder / "set.pt", "segment")
    assert set(same.scores) <= set(found.scores)


@pytest.mark.fault(3, "a checkpoint of merged classes is asked for several, and scored as if it knew one")
def test_classes_of_an_asked_checkpoint_are_never_merged_ones(folder, tmp_path):
    content = torch.load(folder / "set.pt", weights_only=False)
    content["train_args"]["single_cls"] = True
    torch.save(content, tmp_path / "merged.pt")
    _ask(tmp_path / "merged.pt", tmp_path / "asked.pt")
    assert not load_checkpoint_model(tmp_path / "asked.pt", None, "compare").overrides.get("single_cls")


def test_what_is_no_checkpoint_is_refused_with_advice_about_this_model(tmp_path):
    (tmp_path / "notes.pt").write_text("x")
    with pytest.raises(UserError, match=r"zero_shot\.weights") as error:
        load_promptable(tmp_path / "notes.pt")
    assert "model.weights" not in str(error.value)


@pytest.mark.usefixtures("_tokenizer")
@pytest.mark.fault(1, "a text encoder whose code opens files")
def test_an_encoder_that_opens_files_is_refused(folder, tmp_path):
    class Reader(torch.nn.Module):
        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            return torch.from_file("/etc/passwd", False, 4) + tokens

    weights = folder / "open.pt"
    save_script(Reader(), tmp_path / "reader.ts")
    path = find_text_encoder("mobileclip:blt", "reader.ts", weights=weights, folder=str(tmp_path))
    with pytest.raises(UserError, match="from_file"):
        encode_words(path, WORDS)


def test_a_checkpoint_without_classes_predicts_nothing_wrong(folder):
    with pytest.raises(UserError, match="finetrack zero-shot"):
        load_checkpoint_model(folder / "open.pt", None, "predict")


def test_without_the_tokenizer_the_error_names_the_package(folder, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "clip", None)
    with pytest.raises(UserError, match="pip install"):
        _ask(folder / "open.pt", tmp_path / "asked.pt")
    assert not (tmp_path / "asked.pt").exists()


@pytest.mark.usefixtures("_tokenizer")
def test_what_cannot_be_asked_is_refused(folder, tmp_path):
    with pytest.raises(UserError, match="DetectionModel"):
        _ask(FOUNDATION, tmp_path / "asked.pt")
    with pytest.raises(UserError, match="the data is for pose"):
        _ask(folder / "open.pt", tmp_path / "asked.pt", task="pose")
    with pytest.raises(UserError, match="fewer words"):
        _ask(folder / "open.pt", tmp_path / "asked.pt", prompts=ClassPrompts(NAMES, ("c" * 99, "WBC")))
    small = save_encoder(tmp_path / "small.ts", features=8)
    with pytest.raises(UserError, match="8 numbers"):
        write_prompted_weights(
            folder / "open.pt", tmp_path / "a.pt", PROMPTS, task="detect", find_encoder=lambda _: small
        )
    assert name_text_model(load_promptable(folder / "open.pt")) == "mobileclip:blt"


@pytest.mark.slow
@pytest.mark.usefixtures("_tokenizer")
def test_a_prompt_free_checkpoint_knows_its_own_classes_alone(folder, tmp_path):
    model = load_promptable(folder / "set.pt")
    model.model[-1].fuse(model.pe)
    torch.save({"model": model, "train_args": {"task": "segment", "imgsz": 64}}, tmp_path / "fused.pt")
    with pytest.raises(UserError, match="no others"):
        _ask(tmp_path / "fused.pt", tmp_path / "asked.pt", prompts=ClassPrompts(NAMES, NAMES))
    require_promptable(load_promptable(tmp_path / "fused.pt"), "detect", tmp_path / "fused.pt")
    model.model[-1].lrpc = torch.nn.Identity()
    with pytest.raises(UserError, match="no others"):
        require_promptable(model, "detect", tmp_path / "free.pt")
    del model.model[-1].lrpc
    assert not _ask(tmp_path / "fused.pt", tmp_path / "asked.pt")
    before, after = _predict(tmp_path / "fused.pt", "segment"), _predict(tmp_path / "asked.pt", "detect")
    assert set(before[1].scores) <= set(after[1].scores)


@pytest.mark.slow
@pytest.mark.usefixtures("_tokenizer")
@pytest.mark.parametrize("is_asked", [True, False])
def test_a_training_starts_from_weights_with_or_without_classes(folder, tmp_path, is_asked):
    trainings.dataset(tmp_path)
    weights = folder / "open.pt"
    if is_asked:
        weights = tmp_path / "asked.pt"
        _ask(folder / "open.pt", weights, prompts=ClassPrompts(trainings.NAMES, trainings.NAMES))
    job = trainings.job(tmp_path, weights=weights, epochs=1)
    job = replace(job, base=replace(job.base, architecture="yolo11n.yaml"))
    trainer = build_trainer(job)
    moved, tensors = trainer.transferred_tensors
    assert moved == tensors if is_asked else 0.9 * tensors < moved < tensors
    assert trainings.run(job).names == trainings.NAMES
