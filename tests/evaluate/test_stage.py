"""The evaluate stage on real weights: official ones where they are beside the project, else untrained."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from mlflow import MlflowClient
from PIL import Image
from ultralytics import YOLO
from ultralytics.nn.tasks import DetectionModel

from pipeline.config.evaluate import EvaluateConfig
from pipeline.config.finetune import FinetuneConfig
from pipeline.config.schema import Config
from pipeline.config.tracking import TrackingConfig
from pipeline.core.detections import GroundTruth
from pipeline.core.errors import UserError
from pipeline.core.paths import EVALUATION, FINETUNED, PREPARED, TEST_METRICS
from pipeline.dataset import labels
from pipeline.dataset.labels import to_xyxy
from pipeline.evaluate import stage
from pipeline.evaluate.metrics.average_precision import average_precisions, mean
from pipeline.evaluate.metrics.matching import tabulate
from pipeline.storage import files
from pipeline.tracking.runs import open_run, send_missed
from pipeline.tracking.target import TrackingTarget
from pipeline.yolo.inference.predict import predict
from tests import coco_answers, official, sources
from tests.builders import prepared_dataset

OFFICIAL = official.WEIGHTS / "yolov8n.pt"
NAMES = ("disc", "square", "bar")
KEY = "a" * 64
TARGET = {"uri": "sqlite:///mlflow.db", "experiment": "test", "timeout": 10.0}
HOW = {"iou": 0.7, "max_det": 300, "batch": 4}


def logged(run_id):
    return MlflowClient(TrackingTarget(**TARGET).address).get_run(run_id)


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    """An MLflow database without runs: to create one takes seconds, to copy one does not."""
    folder = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DVC_ROOT", str(folder))
        send_missed(TrackingTarget(**{**TARGET, "experiment": "another"}))
    return folder / "mlflow.db"


@pytest.fixture(autouse=True)
def _project(tmp_path, store, monkeypatch):
    shutil.copy(store, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)


@pytest.fixture(scope="session")
def untrained(tmp_path_factory):
    """A checkpoint of random weights for three classes; with `conf` 0 it sees 300 objects everywhere."""
    torch.manual_seed(0)
    model = DetectionModel("yolo26n.yaml", nc=len(NAMES), verbose=False)
    model.names = dict(enumerate(NAMES))
    path = tmp_path_factory.mktemp("weights") / "untrained.pt"
    torch.save({"model": model, "train_args": {"task": "detect"}}, path)
    return path


def trained(weights, names=NAMES, **facts):
    """Put weights where finetune puts them, and open their run as finetune does."""
    FINETUNED.mkdir(parents=True)
    shutil.copy(weights, FINETUNED / "best.pt")
    with open_run(TrackingTarget(**TARGET), key=KEY, name="a run", tags={}) as session:
        run_id = session.run_id
    sha256 = {"best": files.sha256(weights)}
    facts = {"run_id": run_id, "key": KEY, "names": list(names), "sha256": sha256, **facts}
    (FINETUNED / "run.json").write_text(json.dumps(facts))
    return run_id


def run(*, imgsz=64, device="cpu", **how):
    """Run the stage with the groups that it reads."""
    group = EvaluateConfig(**{"conf": 0.001, "bootstrap": 50, "worst": 2, "suspects": 0, **HOW, **how})
    stage.run(
        Config.model_construct(
            seed=0,
            evaluate=group,
            finetune=FinetuneConfig.model_construct(imgsz=imgsz, device=device),
            tracking=TrackingConfig(**TARGET, run_name=None, tags={}, system_metrics=False),
        )
    )
    return json.loads(TEST_METRICS.read_text())


def extent(path):
    with Image.open(path) as image:
        return image.size


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def coco8():
    """Write coco8 as a prepared dataset: its four val images are the test split."""
    return official.prepared("coco8", "detect", YOLO(OFFICIAL).names.values())


def truths(items):
    """Read the objects of prepared images."""
    known = [labels.parse((PREPARED / "labels" / item.label).read_text()) for item in items]
    boxes = [to_xyxy(k.boxes, item.width, item.height) for k, item in zip(known, items, strict=True)]
    return [GroundTruth(box, k.classes) for box, k in zip(boxes, known, strict=True)]


@official.present
def test_official_weights_on_coco8(capsys):
    dataset = coco8()
    run_id = trained(OFFICIAL, dataset.names)
    metrics = run(imgsz=320, bootstrap=200)

    test = metrics["test"]
    assert 0.3 < test["mAP50-95"] < test["mAP50"] < 1
    for name in ("mAP50-95", "mAP50"):
        assert test[f"{name}_low"] <= test[name] <= test[f"{name}_high"]
    assert 0.05 < test["threshold"] < 0.95
    assert test["threshold_from"] == "val"
    assert (test["images"], test["objects"]) == (4, sum(len(item.classes) for item in dataset.of("test")))
    present = {name for name, count in dataset.counts("test").items() if count}
    assert set(metrics["per_class"]) == present
    assert test["mAP50-95"] == pytest.approx(
        np.mean([row["AP50-95"] for row in metrics["per_class"].values()]), abs=1e-5
    )

    known = logged(run_id)
    assert known.info.status == "FINISHED"
    assert known.data.metrics["test/mAP50-95"] == test["mAP50-95"]
    assert known.data.metrics["test/mAP50_low"] == test["mAP50_low"]
    assert known.data.metrics["test/AP50-95/dog"] == metrics["per_class"]["dog"]["AP50-95"]
    kept = next(Path("mlruns").rglob("evaluation"))
    assert {path.name for path in kept.iterdir()} >= {
        "metrics.json",
        "pr_curve.png",
        "confusion.csv",
        "worst",
    }
    assert f"mAP50-95 {test['mAP50-95']:.3f}" in capsys.readouterr().out


def test_too_little_memory_is_refused_with_a_way_out(tmp_path, untrained, monkeypatch):
    def run_out(_model, _images, **_how):
        raise RuntimeError("CUDA out of memory")

    monkeypatch.setattr(YOLO, "predict", run_out)
    image = sources.picture(tmp_path / "a.png")
    with pytest.raises(UserError, match=r"for batches of 4 at 64 pixels: lower evaluate.batch$"):
        list(predict(untrained, [image], imgsz=64, conf=0.1, **HOW))


@official.present
def test_agrees_with_faster_coco_eval_on_real_predictions():
    dataset = coco8()
    images = [PREPARED / "images" / item.file for item in dataset.items]
    found = list(predict(OFFICIAL, images, imgsz=320, conf=0.001, **HOW))
    truth = truths(dataset.items)
    table = tabulate(truth, found, len(dataset.names))
    theirs = coco_answers.average_precisions(truth, found, len(dataset.names))
    theirs = theirs[table.objects.any(axis=0)]
    ours = average_precisions(table)
    assert mean(ours)[0] == pytest.approx(theirs.mean(), abs=1e-9)
    assert mean(ours[:, :, :1])[0] == pytest.approx(theirs[:, 0].mean(), abs=1e-9)


@official.present
def test_what_is_found_in_an_image_depends_neither_on_its_neighbours_nor_on_the_batch():
    dataset = coco8()
    images = [PREPARED / "images" / item.file for item in dataset.items]
    together = list(predict(OFFICIAL, images, imgsz=320, conf=0.1, **{**HOW, "batch": 8}))
    for image, seen in zip(images, together, strict=True):
        [alone] = predict(OFFICIAL, [image], imgsz=320, conf=0.1, **HOW)
        assert seen.classes.tolist() == alone.classes.tolist()
        np.testing.assert_allclose(seen.boxes, alone.boxes, atol=0.1)
        width, height = extent(image)
        assert (alone.boxes >= 0).all()
        assert (alone.boxes <= [width, height, width, height]).all()


def test_what_is_written(untrained):
    prepared_dataset(PREPARED)
    trained(untrained)
    metrics = run(conf=0.0)
    present = list(metrics["per_class"])
    curve = rows(EVALUATION / "pr_curve.csv")
    assert len(curve) == 101 * len(present)
    for name in present:
        area = np.mean([float(row["precision"]) for row in curve if row["class"] == name])
        assert area == pytest.approx(metrics["per_class"][name]["AP50"], abs=1e-4)
    assert len(rows(EVALUATION / "f1_curve.csv")) == 101 * len(present)
    actual = [row["actual"] for row in rows(EVALUATION / "confusion.csv")]
    for name in present:
        assert actual.count(name) == metrics["per_class"][name]["objects"]
    for name in ("pr_curve.png", "f1_curve.png", "confusion.png"):
        assert extent(EVALUATION / name) > (400, 300)
    worst = sorted(path.name for path in (EVALUATION / "worst").iterdir())
    assert [name[:3] for name in worst] == ["01_", "02_"]


def test_the_same_input_gives_the_same_files(untrained):
    prepared_dataset(PREPARED)
    trained(untrained)
    first = run(conf=0.0), contents()
    assert (run(conf=0.0), contents()) == first


def contents():
    return {path: path.read_bytes() for path in sorted(EVALUATION.rglob("*")) if path.is_file()}


def test_without_objects_in_val_the_threshold_comes_from_test_and_says_so(untrained):
    prepared_dataset(PREPARED, images={"train": 1, "test": 2})
    run_id = trained(untrained)
    assert run(conf=0.0)["test"]["threshold_from"] == "test"
    tags = logged(run_id).data.tags
    assert tags["finetrack.threshold.from"] == "test"
    assert json.loads(tags["finetrack.evaluate"])["conf"] == 0.0


def test_a_model_that_finds_nothing_is_measured_too(untrained):
    prepared_dataset(PREPARED)
    trained(untrained)
    test = run(conf=0.9)["test"]
    figures = ("mAP50-95", "mAP50", "mAP50_low", "mAP50_high", "precision", "recall", "F1")
    assert {test[figure] for figure in figures} == {0.0}


def test_a_test_split_without_objects_is_refused_and_the_run_says_so(untrained):
    prepared_dataset(PREPARED, objects=(0, 0))
    run_id = trained(untrained)
    with pytest.raises(UserError, match="test split of data/prepared has no labelled object"):
        run()
    assert logged(run_id).info.status == "FAILED"


def test_weights_for_other_classes_are_refused(untrained):
    prepared_dataset(PREPARED, classes=("disc", "square"))
    trained(untrained)
    with pytest.raises(
        UserError, match="trained for the classes disc, square, bar, but data/prepared has disc, square:"
    ):
        run()


def test_weights_for_another_task_are_refused(untrained):
    prepared_dataset(PREPARED)
    trained(untrained, task="segment")
    with pytest.raises(UserError, match="trained for segment, but data/prepared is for detect: run"):
        run()


def test_merged_classes_are_measured_as_one(tmp_path):
    dataset = prepared_dataset(PREPARED)
    model = DetectionModel("yolo26n.yaml", nc=1, verbose=False)
    model.names = {0: "item"}
    torch.save({"model": model, "train_args": {"task": "detect"}}, tmp_path / "one.pt")
    trained(tmp_path / "one.pt", names=["item"], single_cls=True)
    metrics = run(conf=0.0)
    assert list(metrics["per_class"]) == ["item"]
    assert len({cls for item in dataset.of("test") for cls in item.classes}) > 1
    assert metrics["per_class"]["item"]["objects"] == sum(len(item.classes) for item in dataset.of("test"))


def test_the_device_of_the_training_is_used_where_it_is_there(untrained, capsys):
    prepared_dataset(PREPARED)
    trained(untrained)
    with pytest.raises(UserError, match=r"finetune\.device=nonsense is absent"):
        run(device="nonsense")
    run(device=99)
    assert "finetune.device=99 is not on this machine: measured on what there is" in capsys.readouterr().out


def test_no_weights_are_refused():
    prepared_dataset(PREPARED)
    with pytest.raises(UserError, match="run finetune first"):
        run()


def test_weights_that_changed_since_they_were_written_are_refused(untrained):
    prepared_dataset(PREPARED)
    trained(untrained)
    with (FINETUNED / "best.pt").open("r+b") as file:
        file.seek(100_000)
        file.write(b"\0\1")
    with pytest.raises(UserError, match=r"best\.pt is not what finetune wrote"):
        run()


@pytest.mark.parametrize("contents", [b"", b"no checkpoint", b"PK\x03\x04 cut"])
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path, contents):
    prepared_dataset(PREPARED)
    (tmp_path / "foreign.pt").write_bytes(contents)
    trained(tmp_path / "foreign.pt")
    with pytest.raises(UserError, match=r"best\.pt is no .*: run finetune again") as refusal:
        run()
    assert "\n" not in str(refusal.value)


def test_an_image_that_was_changed_is_refused(untrained):
    dataset = prepared_dataset(PREPARED)
    trained(untrained)
    image = PREPARED / "images" / dataset.of("test")[0].file
    image.write_bytes(image.read_bytes() + b"\0")
    with pytest.raises(UserError, match="is not as prepare wrote it"):
        run()


def test_label_suspects_are_written_only_where_asked_for(untrained):
    prepared_dataset(PREPARED)
    trained(untrained)
    run(conf=0.0)
    assert not (EVALUATION / "suspects.json").exists()
    run(conf=0.0, suspects=5)
    assert json.loads((EVALUATION / "suspects.json").read_text())["suspects"] == []
    assert "agrees with every label" in (EVALUATION / "suspects.html").read_text()
