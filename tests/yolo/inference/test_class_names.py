"""Codes of ImageNet stay the names of classes, although Ultralytics replaces them by words."""

from __future__ import annotations

import pytest
import torch
from ultralytics import YOLO
from ultralytics.nn.tasks import ClassificationModel
from ultralytics.utils import ROOT, YAML

from pipeline.yolo.inference.class_names import list_class_names, spell_class_names
from pipeline.yolo.inference.loaded_model import LoadedModel

CODES = ("n01440764", "n02012849", "n03126707")
WORDS = ("tench", "crane_(bird)", "crane_(machine)")
SETTINGS = {"imgsz": 64, "conf": 0.001, "iou": 0.7, "max_det": 20, "batch": 2, "device": "cpu"}


def test_a_checkpoint_has_the_names_of_its_training(tmp_path):
    model = ClassificationModel("yolo26n-cls.yaml", nc=3, verbose=False)
    model.names = dict(enumerate(CODES))
    torch.save({"model": model, "train_args": {"task": "classify", "imgsz": 64}}, tmp_path / "a.pt")
    assert tuple(YOLO(tmp_path / "a.pt").names.values()) == WORDS
    with LoadedModel(tmp_path / "a.pt", settings=SETTINGS) as loaded:
        assert loaded.names == CODES


def test_the_words_of_all_codes_are_spelled_as_codes_again():
    words = YAML.load(ROOT / "cfg/datasets/ImageNet.yaml")["map"]
    codes = tuple(words)
    assert len(codes) == len({*words.values()}) == 1000
    assert spell_class_names(tuple(words.values()), codes) == codes
    assert spell_class_names(codes, tuple(words.values())) == tuple(words.values())


@pytest.mark.parametrize(
    ("names", "known", "spelled"),
    [
        (WORDS, CODES, CODES),
        (CODES, WORDS, WORDS),
        (CODES, CODES[::-1], CODES),
        (WORDS[::-1], CODES, CODES[::-1]),
        (("cat", "tench"), ("n01440764", "dog"), ("cat", "n01440764")),
        (("tench", "n01440764"), ("n01440764",), ("tench", "n01440764")),
        (("n01440764",), ("tench", "n01440764"), ("n01440764",)),
        (("n99999999", "cat"), ("n01440764", "Cat"), ("n99999999", "cat")),
        (("tench", "tench"), ("n01440764", "dog"), ("tench", "tench")),
    ],
)
def test_a_name_is_spelled_as_the_others_where_it_surely_is_the_same_class(names, known, spelled):
    assert spell_class_names(names, known) == spelled


@pytest.mark.parametrize("names", [["a", "b"], ("a", "b"), {0: "a", 1: "b"}, {"1": "b", "0": "a"}])
def test_names_are_listed_by_index_in_every_form(names):
    assert list_class_names(names) == ("a", "b")


@pytest.mark.fault(1, "names of classes that no program of ours wrote")
@pytest.mark.parametrize("names", ["ab", {}, [], {0: "a", 2: "b"}, {"x": "a"}, None, 3])
def test_other_names_are_refused(names):
    with pytest.raises((TypeError, KeyError, ValueError)):
        list_class_names(names)
