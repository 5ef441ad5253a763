"""A real training for each task from the bundled weights: metrics, weights, the served model, labels."""

from __future__ import annotations

import hashlib
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch
import ultralytics.nn.tasks
from ultralytics import YOLO
from ultralytics.nn.tasks import ClassificationModel

from pipeline.core.errors import UserError
from pipeline.tracking.logged_model import save_model
from pipeline.tracking.model_signature import OUTPUT_COLUMNS
from pipeline.yolo.epoch_metrics import WATCHED_METRICS, select_val_metrics, sum_losses
from pipeline.yolo.errors import check_task_arguments
from pipeline.yolo.job import BaseWeights
from pipeline.yolo.training.train import build_trainer
from pipeline.yolo.training.transfer import choose_architecture
from pipeline.yolo.weights import load_weights
from tests import task_sets, trainings

TASKS = ("segment", "obb", "pose", "classify")
BOXES = {"precision", "recall", "mAP50", "mAP50-95"}
FIGURES = {
    "segment": BOXES | {f"mask/{name}" for name in BOXES} | {"fitness"},
    "pose": BOXES | {f"pose/{name}" for name in BOXES} | {"fitness"},
    "obb": BOXES,
    "classify": {"top1", "top5"},
}
TAKEN = {"segment": (696, 844), "obb": (696, 792), "pose": (696, 879), "classify": (228, 236)}


def _contents(folder):
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module", params=TASKS)
def trained(request, tmp_path_factory):
    """Task, folder, outcome; best.pt lies in the folder."""
    task, root = request.param, tmp_path_factory.mktemp(request.param)
    trainings.dataset(root, task=task)
    before = _contents(root / "data")
    job = trainings.job(root, task=task, weights=trainings.FOUNDATION, precision="auto", auto_augment=None)
    outcome = trainings.run(job)
    assert _contents(root / "data") == before
    (root / "best.pt").write_bytes(outcome.weights["best"])
    return task, root, outcome


def test_each_task_has_its_own_metrics(trained):
    task, _, outcome = trained
    assert [set(select_val_metrics(row)) for row in outcome.rows] == [FIGURES[task]] * 2
    watched = [row[WATCHED_METRICS[task]] for row in outcome.rows]
    assert watched[outcome.best_epoch - 1] == max(watched)
    train, val = sum_losses(outcome.rows)
    assert len(train) == len(val) == 2
    assert all(value > 0 for value in val)
    assert outcome.effective["task"] == task
    assert outcome.effective["tensors_transferred"] == "{} of {}".format(*TAKEN[task])


def test_weights_load_in_safe_mode_and_predict(trained):
    task, root, _ = trained
    assert ultralytics.nn.tasks.SAFE_LOAD
    found = YOLO(root / "best.pt")
    assert (found.task, list(found.names.values())) == (task, list(task_sets.NAMES))
    image = min((root / "data/prepared/images/val").iterdir())
    [result] = found.predict(str(image), imgsz=64, conf=0.0, verbose=False)
    parts = ("boxes", "masks", "keypoints", "obb", "probs")
    there = {name for name in parts if getattr(result, name) is not None}
    expected = {"segment": {"boxes", "masks"}, "pose": {"boxes", "keypoints"}, "classify": {"probs"}}
    assert there == expected.get(task, {"obb"})


def test_pose_weights_hold_shape_and_names_of_key_points(trained):
    task, root, _ = trained
    if task == "pose":
        found = YOLO(root / "best.pt").model
        assert list(found.kpt_shape) == [2, 3]
        assert found.kpt_names[0] == ["left", "right"]


def test_logged_model_returns_the_columns_of_its_signature(trained):
    import mlflow

    task, root, _ = trained
    image = min((root / "data/prepared/images/val").iterdir())
    save_model(root / "saved", root / "best.pt", image, task=task)
    loaded = mlflow.pyfunc.load_model(str(root / "saved"))
    table = loaded.predict([str(image)], params={"top": 3} if task == "classify" else {"conf": 0.0})
    assert (
        list(table.columns) == list(OUTPUT_COLUMNS[task]) == loaded.metadata.signature.outputs.input_names()
    )
    assert len(table) == 3 if task == "classify" else len(table) > 0
    assert set(table["name"]) <= set(task_sets.NAMES)
    _check_answer(task, table)
    again = loaded.predict(loaded.input_example, params={"top": 3} if task == "classify" else {"conf": 0.0})
    assert list(again.columns) == list(table.columns)


def _check_answer(task, table):
    row = table.iloc[0]
    if task == "classify":
        assert table["score"].is_monotonic_decreasing
        assert table["score"].sum() == pytest.approx(1, abs=1e-3)
    elif task == "pose":
        assert [len(point) for point in row["keypoints"]] == [3, 3]
    elif task == "segment":
        assert all(len(point) == 2 for point in row["polygon"])
    else:
        sides = [(row.x2 - row.x1, row.y2 - row.y1), (row.x3 - row.x2, row.y3 - row.y2)]
        assert sides[0][0] * sides[1][0] + sides[0][1] * sides[1][1] == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize("task", ["segment", pytest.param("classify", marks=pytest.mark.slow)])
def test_resumed_training_of_any_task_gives_the_same_result(tmp_path, task):
    for name in ("whole", "parts"):
        trainings.dataset(tmp_path / name, task=task)

    def stop(row):
        if row["epoch"] == 1:
            raise KeyboardInterrupt

    expected = trainings.run(trainings.job(tmp_path / "whole", task=task, precision="auto"))
    with pytest.raises(KeyboardInterrupt):
        trainings.run(trainings.job(tmp_path / "parts", task=task, precision="auto"), on_epoch=stop)
    outcome = trainings.run(trainings.job(tmp_path / "parts", task=task, precision="auto"))
    untimed = [[{**row, "seconds": 0} for row in found.rows] for found in (outcome, expected)]
    assert untimed[0] == untimed[1]
    assert outcome.weights == expected.weights


def test_classify_takes_over_the_backbone_layer_by_layer(tmp_path):
    trainings.dataset(tmp_path, task="classify")
    trainer = build_trainer(trainings.job(tmp_path, task="classify", weights=trainings.FOUNDATION))
    source, found = load_weights(trainings.FOUNDATION).model, trainer.model.model
    for theirs, ours in [*((layer, layer) for layer in range(9)), (10, 9)]:  # SPPF, layer 9, is left out
        pairs = zip(source[theirs].state_dict().values(), found[ours].state_dict().values(), strict=True)
        assert all(old.equal(new) for old, new in pairs), ours


def _save_classifier(path):
    torch.save(
        {"model": ClassificationModel("yolo26n-cls.yaml", verbose=False).half(), "train_args": {}}, path
    )
    return path


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"freeze": "backbone", "head": True}, "finetune.freeze=.* would keep layer 9 at random values"),
        ({"freeze": [23]}, "finetune.freeze=.* would keep layer 23 at random values"),
        ({"freeze_bn": True}, "finetune.freeze_bn=True would keep layer 9 at random values"),
        ({"freeze": 9, "head": True}, None),
    ],
)
def test_a_layer_without_base_weights_is_not_frozen(tmp_path, changes, sentence):
    trainings.dataset(tmp_path)
    job = trainings.job(tmp_path, weights=_save_classifier(tmp_path / "a.pt"), **changes)
    if sentence is None:
        build_trainer(job)
    else:
        with pytest.raises(UserError, match=sentence):
            build_trainer(job)


@pytest.mark.parametrize("task", ["detect", "pose"])
def test_other_tasks_take_over_the_backbone_of_classify(tmp_path, task):
    trainings.dataset(tmp_path, task=task)
    path = _save_classifier(tmp_path / "a.pt")
    trainer = build_trainer(trainings.job(tmp_path, task=task, weights=path))
    source = load_weights(path).model
    assert trainer.model.model[10].cv1.conv.weight.equal(source[9].cv1.conv.weight)
    assert trainer.transferred_tensors[0] == 228


def test_architecture_of_another_task_is_rejected():
    with pytest.raises(
        UserError, match=r"model.architecture=yolo26n-seg.yaml is a network for segment, and .* pose"
    ):
        choose_architecture(BaseWeights("random", None, None, "yolo26n-seg.yaml"), None, "pose")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"single_cls": True}, "finetune.single_cls=true has no meaning where the task is classify"),
        ({"multi_scale": 0.5}, "finetune.multi_scale=0.5 has no meaning where the task is classify"),
        ({"distill_model": "a.pt"}, "finetune.distill_model=a.pt has no meaning .* set it to null"),
        ({"scale": [0.5, 1.5]}, r"augment.online.scale=\[0.5, 1.5\] .* must be a number from 0 to 1"),
        ({"hsv_h": 0.6, "auto_augment": None}, "augment.online.hsv_h=0.6 is not allowed where the task is"),
    ],
)
def test_argument_that_classify_ignores_is_rejected(changes, sentence):
    check_task_arguments(trainings.arguments(), "classify")
    check_task_arguments(trainings.arguments(**changes), "segment")
    with pytest.raises(UserError, match=sentence):
        check_task_arguments(trainings.arguments(**changes), "classify")


@pytest.mark.parametrize("changes", [{"hsv_h": 0.6}, {"hsv_h": 0.5, "auto_augment": None}])
def test_hues_that_classify_can_draw_or_does_not_use_are_allowed(tmp_path, changes):
    trainings.dataset(tmp_path, train=1, task="classify")
    check_task_arguments(trainings.arguments(auto_augment="randaugment") | changes, "classify")
    changed = {"auto_augment": "randaugment"} | changes
    trainer = build_trainer(trainings.job(tmp_path, task="classify", **changed))
    dataset = trainer.build_dataset([str(tmp_path / "data/prepared/images/train")], "train")
    assert dataset[0]["img"].shape == (3, 64, 64)


@pytest.mark.parametrize(
    ("name", "key", "users"),
    [
        ("dropout", "finetune.dropout=0.2", {"classify"}),
        ("copy_paste", "augment.online.copy_paste=0.2", {"segment", "obb"}),
    ],
)
@pytest.mark.parametrize("task", ["detect", *TASKS])
def test_argument_that_a_task_ignores_is_rejected(task, name, key, users):
    refusal = f"{key} has no effect where the task is {task}: set it to 0"
    with nullcontext() if task in users else pytest.raises(UserError, match=refusal):
        check_task_arguments(trainings.arguments(**{name: 0.2}), task)


@pytest.mark.parametrize("cache", ["disk", False])
def test_classify_reads_all_images_and_caches_in_scratch(tmp_path, cache):
    trainings.dataset(tmp_path, task="classify")
    before = _contents(tmp_path / "data")
    trainer = build_trainer(trainings.job(tmp_path, task="classify", cache=cache))
    images = [str(tmp_path / "data/prepared/images/train")]
    found = trainer.build_dataset(images, "train")
    assert [int(sample[0][-7:-4]) for sample in found.samples] == list(range(8))
    assert found[0]["img"].shape == (3, 64, 64)
    assert _contents(tmp_path / "data") == before


@pytest.mark.parametrize(
    ("task", "text", "sentence"),
    [
        ("classify", "0\n1\n", "does not name one class for .*train_000.png"),
        ("classify", "7\n", "has class 7, but there are only 3 classes: run prepare again"),
        ("pose", "0 0.5 0.5 0.2 0.2 0.5 0.5 2\n", "1 points instead of 2"),
        ("segment", "0 0.5 0.5 0.2 0.2\n", "expected 'class x1 y1"),
    ],
)
def test_invalid_label_is_rejected(tmp_path, task, text, sentence):
    trainings.dataset(tmp_path, task=task)
    min((tmp_path / "data/prepared/labels/train").iterdir()).write_text(text)
    trainer = build_trainer(trainings.job(tmp_path, task=task))
    with pytest.raises(UserError, match=sentence):
        trainer.build_dataset([str(tmp_path / "data/prepared/images/train")], "train", 4)


@pytest.mark.parametrize("flip", [(), (0, 1), (1, 0)])
def test_no_image_is_mirrored_where_it_is_not_known_which_key_points_change_places(tmp_path, flip):
    trainings.dataset(tmp_path, train=1, task="pose")
    still = dict.fromkeys(("mosaic", "scale", "translate", "hsv_h", "hsv_s", "hsv_v"), 0.0)
    job = trainings.job(tmp_path, task="pose", fliplr=1.0, flipud=0.0, **still)
    trainer = build_trainer(replace(job, keypoints=replace(task_sets.POINTS, flip=flip)))
    dataset = trainer.build_dataset([str(tmp_path / "data/prepared/images/train")], "train", 1)
    known, shown = dataset.labels[0]["keypoints"][..., :2], dataset[0]["keypoints"][..., :2].numpy()
    expected = known[:, flip] * [-1, 1] + [1, 0] if flip else known
    assert shown == pytest.approx(expected, abs=0.02)


def test_key_points_keep_their_visibility(tmp_path):
    trainings.dataset(tmp_path, train=1, task="pose")
    points = [[0.5, 0.25, 2.0], [0.0, 0.0, 0.0]]
    [label] = (tmp_path / "data/prepared/labels/train").iterdir()
    label.write_text(" ".join(map(str, [0, 0.5, 0.5, 0.4, 0.4, *np.ravel(points)])) + "\n")
    trainer = build_trainer(trainings.job(tmp_path, task="pose"))
    [found] = trainer.build_dataset([str(tmp_path / "data/prepared/images/train")], "train", 1).labels
    assert found["keypoints"].tolist() == [points]
