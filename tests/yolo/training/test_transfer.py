"""Which network is built from which weights and model YAML, and what is taken from the weights."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace

import pytest
import torch
import yaml
from ultralytics.nn.tasks import DetectionModel, WorldModel, YOLOEModel
from ultralytics.utils import ROOT

from pipeline.core.model_names import OFFICIAL_MODEL_NAME
from pipeline.storage.files import hash_file
from pipeline.yolo.job import BaseWeights
from pipeline.yolo.training.train import build_trainer
from pipeline.yolo.training.transfer import explain_own_network
from tests import trainings

OBJECTS365 = {"person": 0, "disc": 1, "square": 2}


def _save(model, path, names=()):
    model.float()
    model.names = dict(enumerate(names)) or model.names
    torch.save({"model": model, "train_args": {}}, path)
    return path


def _build(root, weights, architecture):
    if not (root / "data").exists():
        trainings.dataset(root)
    job = trainings.job(root, weights=weights, epochs=1)
    own = root / architecture
    sha = hash_file(own) if own.is_file() else None
    name = str(own) if sha else architecture
    job = replace(job, base=replace(job.base, architecture=name, architecture_sha256=sha))
    trainer = build_trainer(job)
    return job, trainer, explain_own_network(job.base, trainer.model.yaml)


@pytest.mark.parametrize(
    ("architecture", "layers", "is_told"),
    [
        ("yolo26n.yaml", 24, False),
        ("yolo26s.yaml", 24, True),  # the default of other weights, left in conf/model
        ("yolo11n.yaml", 24, True),
        ("yolo26n-p2.yaml", 30, False),
    ],
)
def test_a_variant_is_built_and_a_plain_name_gives_way_to_the_network_of_the_weights(
    tmp_path, architecture, layers, is_told
):
    _, trainer, told = _build(tmp_path, trainings.FOUNDATION, architecture)
    assert (len(trainer.model.model), bool(told)) == (layers, is_told)
    assert trainer.architecture == ("yolo26n.yaml" if is_told else architecture)
    assert sum(parameter.numel() for parameter in trainer.model.model[:11].parameters()) < 2e6  # scale n


@pytest.mark.parametrize("name", sorted(path.name for path in (trainings.CONF / "model").glob("*.yaml")))
def test_defaults_of_conf_give_way_to_other_weights(name):
    architecture = yaml.safe_load((trainings.CONF / "model" / name).read_text())["architecture"]
    assert OFFICIAL_MODEL_NAME.fullmatch(architecture)


def test_a_model_yaml_of_ones_own_is_built_from_weights_of_its_task_and_recorded(tmp_path):
    text = (ROOT / "cfg/models/26/yolo26.yaml").read_text()
    (tmp_path / "own26n.yaml").write_text(
        re.sub(r"\[-1, 2, C3k2, \[512, True\]\]", "[-1, 4, C3k2, [512, True]]", text)
    )
    job, trainer, told = _build(tmp_path, trainings.FOUNDATION, "own26n.yaml")
    plain = _build(tmp_path, trainings.FOUNDATION, "yolo26n.yaml")[1]
    counts = [sum(1 for _ in each.model.parameters()) for each in (trainer, plain)]
    assert counts[0] > counts[1]
    assert not told
    assert (
        0.7 * trainer.transferred_tensors[1] < trainer.transferred_tensors[0] < trainer.transferred_tensors[1]
    )
    assert trainings.run(job).effective["architecture"] == "own26n.yaml"


def test_a_kept_name_of_ultralytics_that_is_the_users_file_is_the_users(tmp_path):
    shutil.copyfile(ROOT / "cfg/models/26/yolo26-p2.yaml", tmp_path / "yolo26n.yaml")
    assert len(_build(tmp_path, trainings.FOUNDATION, "yolo26n.yaml")[1].model.model) == 30


@pytest.mark.parametrize("cls_remap", [True, False])
@pytest.mark.parametrize(
    ("kind", "words", "architecture"),
    [
        (WorldModel, "yolov8n-worldv2.yaml", "yolov8n.yaml"),
        (YOLOEModel, "yoloe-11n.yaml", "yolo11n.yaml"),
        (YOLOEModel, "yoloe-26n.yaml", "yolo26n.yaml"),
    ],
)
def test_the_class_layer_begins_as_usual_after_weights_that_take_words(
    tmp_path, kind, words, architecture, cls_remap
):
    names = [*OBJECTS365, *(f"other {number}" for number in range(77))]
    path = _save(kind(words, nc=80, verbose=False), tmp_path / "words.pt", names)
    trainings.dataset(tmp_path)
    job = trainings.job(tmp_path, weights=path, cls_remap=cls_remap)
    trainer = build_trainer(replace(job, base=replace(job.base, architecture=architecture)))
    usual = DetectionModel(architecture, nc=3, verbose=False).model[-1]
    head = trainer.model.model[-1]
    for name in ("cv3", "one2one_cv3"):
        for found, wanted in zip(getattr(head, name, ()) or (), getattr(usual, name, ()) or (), strict=True):
            assert found[-1].bias.equal(wanted[-1].bias)
    taken, tensors = trainer.transferred_tensors
    assert 0.9 * tensors < taken < tensors


def test_prompt_free_weights_have_no_class_layer_and_fill_the_rest(tmp_path):
    """As `set_vocab` of Ultralytics leaves them: the last layers of boxes and classes are in another part."""
    model = YOLOEModel("yoloe-11n.yaml", nc=80, verbose=False)
    for branch in (*model.model[-1].cv2, *model.model[-1].cv3):
        del branch[-1]
    trainings.dataset(tmp_path)
    job = trainings.job(tmp_path, weights=_save(model, tmp_path / "free.pt"))
    trainer = build_trainer(replace(job, base=replace(job.base, architecture="yolo11n.yaml")))
    taken, tensors = trainer.transferred_tensors
    assert 0.9 * tensors < taken < tensors


def test_rows_of_classes_with_the_same_name_are_still_taken_from_weights_with_classes(tmp_path):
    path = _save(DetectionModel("yolo26n.yaml", nc=3, verbose=False), tmp_path / "a.pt", OBJECTS365)
    trainings.dataset(tmp_path)
    trainer = build_trainer(trainings.job(tmp_path, weights=path, cls_remap=True))
    source = torch.load(path, weights_only=False)["model"].model[-1].cv3[0][-1].bias
    assert trainer.model.model[-1].cv3[0][-1].bias[0] == source[1]


def test_a_name_without_the_task_s_network_stops_no_training_that_does_not_need_it(tmp_path):
    """YOLOv10 has no networks for segment."""
    network = {"backbone": [], "head": [[-1, 1, "Segment", [80, 32, 256]]]}
    base = BaseWeights("own", tmp_path / "own.pt", "0", "yolov10n-seg.yaml", None)
    assert "yolov10n-seg.yaml" in explain_own_network(base, network)
