"""The evaluate stage on real weights: official ones where they are present, else random ones."""

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
from ultralytics.engine.model import Model
from ultralytics.nn.tasks import DetectionModel

from pipeline.config.groups.data import DataConfig
from pipeline.config.groups.evaluate import EvaluateConfig
from pipeline.config.groups.finetune import FinetuneConfig
from pipeline.config.groups.tracking import TrackingConfig
from pipeline.config.schema import Config
from pipeline.core.detections import GroundTruth
from pipeline.core.errors import UserError
from pipeline.core.paths import EVALUATION_FOLDER, FINETUNED_FOLDER, PREPARED_FOLDER, TEST_METRICS_FILE
from pipeline.dataset.labels import parse_labels, xywhn_to_xyxy
from pipeline.evaluate.metrics.average_precision import compute_average_precisions, compute_mean_ap
from pipeline.evaluate.metrics.matching import build_detection_table
from pipeline.evaluate.report import name_background
from pipeline.evaluate.stage import run_stage
from pipeline.storage.files import hash_file
from pipeline.tracking.runs import open_run, send_missed
from pipeline.tracking.target import TrackingTarget
from pipeline.yolo.inference.predict import predict_detections
from tests import coco_reference, official, sources
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
    """An MLflow database without runs; copying it is faster than creating one."""
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
    """A checkpoint of random weights for three classes; with `conf` 0 it detects 300 objects per image."""
    torch.manual_seed(0)
    model = DetectionModel("yolo26n.yaml", nc=len(NAMES), verbose=False)
    model.names = dict(enumerate(NAMES))
    path = tmp_path_factory.mktemp("weights") / "untrained.pt"
    torch.save({"model": model, "train_args": {"task": "detect"}}, path)
    return path


def trained(weights, names=NAMES, **facts):
    """Write weights and a run as finetune does."""
    FINETUNED_FOLDER.mkdir(parents=True)
    shutil.copy(weights, FINETUNED_FOLDER / "best.pt")
    with open_run(TrackingTarget(**TARGET), key=KEY, name="a run", tags={}) as session:
        run_id = session.run_id
    sha256 = {"best": hash_file(weights)}
    facts = {"run_id": run_id, "key": KEY, "names": list(names), "sha256": sha256, **facts}
    (FINETUNED_FOLDER / "run.json").write_text(json.dumps(facts))
    return run_id


def run(*, imgsz=64, device="cpu", **how):
    """Run the stage with the configuration groups that it reads."""
    fixed = {"conf": 0.001, "bootstrap": 50, "worst": 2, "suspects": 0, "latency": 0, "forget": None}
    whole = {"register": False, "tile": None, "overlap": 0.2}
    group = EvaluateConfig(**{**fixed, **whole, **HOW, **how})
    run_stage(
        Config.model_construct(
            seed=0,
            data=DataConfig.model_construct(source=None, format="shapes"),
            evaluate=group,
            finetune=FinetuneConfig.model_construct(imgsz=imgsz, device=device, threads="auto"),
            tracking=TrackingConfig(**TARGET, run_name=None, tags={}, system_metrics=False),
        )
    )
    return json.loads(TEST_METRICS_FILE.read_text())


def extent(path):
    with Image.open(path) as image:
        return image.size


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def coco8():
    """Write coco8 as a prepared dataset: its four val images are the test split."""
    return official.prepare_example("coco8", "detect", YOLO(OFFICIAL).names.values())


def truths(items):
    """Read the objects of prepared images."""
    known = [parse_labels((PREPARED_FOLDER / "labels" / item.label_file).read_text()) for item in items]
    boxes = [xywhn_to_xyxy(k.boxes, item.width, item.height) for k, item in zip(known, items, strict=True)]
    return [GroundTruth(box, k.classes) for box, k in zip(boxes, known, strict=True)]


@official.needs_official_weights
def test_official_weights_on_coco8_give_plausible_logged_metrics(capsys):
    dataset = coco8()
    run_id = trained(OFFICIAL, dataset.names)
    metrics = run(imgsz=320, bootstrap=200)

    test = metrics["test"]
    assert 0.3 < test["mAP50-95"] < test["mAP50"] < 1
    for name in ("mAP50-95", "mAP50"):
        assert test[f"{name}_low"] <= test[name] <= test[f"{name}_high"]
    assert 0.05 < test["threshold"] < 0.95
    assert test["threshold_from"] == "val"
    assert (test["images"], test["objects"]) == (
        4,
        sum(len(item.classes) for item in dataset.in_split("test")),
    )
    present = {name for name, count in dataset.count_objects("test").items() if count}
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


def test_out_of_memory_error_names_the_batch_option(tmp_path, untrained, monkeypatch):
    def run_out(_model, _images, **_how):
        raise RuntimeError("CUDA out of memory")

    monkeypatch.setattr(Model, "predict", run_out)
    image = sources.write_picture(tmp_path / "a.png")
    with pytest.raises(UserError, match=r"for batches of 4 at 64 pixels: lower evaluate.batch$"):
        list(predict_detections(untrained, [image], imgsz=64, conf=0.1, **HOW))


@official.needs_official_weights
def test_agrees_with_faster_coco_eval_on_real_predictions():
    dataset = coco8()
    images = [PREPARED_FOLDER / "images" / item.file for item in dataset.items]
    found = list(predict_detections(OFFICIAL, images, imgsz=320, conf=0.001, **HOW))
    truth = truths(dataset.items)
    table = build_detection_table(truth, found, len(dataset.names))
    theirs = coco_reference.compute_average_precision(truth, found, len(dataset.names))
    theirs = theirs[table.objects.any(axis=0)]
    ours = compute_average_precisions(table)
    assert compute_mean_ap(ours)[0] == pytest.approx(theirs.mean(), abs=1e-9)
    assert compute_mean_ap(ours[:, :, :1])[0] == pytest.approx(theirs[:, 0].mean(), abs=1e-9)


@official.needs_official_weights
def test_predictions_do_not_depend_on_the_batch():
    dataset = coco8()
    images = [PREPARED_FOLDER / "images" / item.file for item in dataset.items]
    together = list(predict_detections(OFFICIAL, images, imgsz=320, conf=0.1, **{**HOW, "batch": 8}))
    for image, seen in zip(images, together, strict=True):
        [alone] = predict_detections(OFFICIAL, [image], imgsz=320, conf=0.1, **HOW)
        assert seen.classes.tolist() == alone.classes.tolist()
        np.testing.assert_allclose(seen.boxes, alone.boxes, atol=0.1)
        width, height = extent(image)
        assert (alone.boxes >= 0).all()
        assert (alone.boxes <= [width, height, width, height]).all()


def test_report_files_agree_with_the_metrics(untrained):
    prepared_dataset(PREPARED_FOLDER)
    trained(untrained)
    metrics = run(conf=0.0)
    present = list(metrics["per_class"])
    curve = rows(EVALUATION_FOLDER / "pr_curve.csv")
    assert len(curve) == 101 * len(present)
    for name in present:
        area = np.mean([float(row["precision"]) for row in curve if row["class"] == name])
        assert area == pytest.approx(metrics["per_class"][name]["AP50"], abs=1e-4)
    assert len(rows(EVALUATION_FOLDER / "f1_curve.csv")) == 101 * len(present)
    actual = [row["actual"] for row in rows(EVALUATION_FOLDER / "confusion.csv")]
    for name in present:
        assert actual.count(name) == metrics["per_class"][name]["objects"]
    for name in ("pr_curve.png", "f1_curve.png", "confusion.png"):
        assert extent(EVALUATION_FOLDER / name) > (400, 300)
    worst = sorted(path.name for path in (EVALUATION_FOLDER / "worst").iterdir())
    assert [name[:3] for name in worst] == ["01_", "02_"]


@pytest.mark.parametrize(
    ("names", "expected"),
    [(("disc", "bar"), "background"), (("disc", "background"), "(background: no object)")],
)
def test_no_object_has_a_name_of_its_own_in_the_confusion_matrix(names, expected):
    assert name_background(names) == expected


def test_same_input_gives_same_files_and_auto_is_the_size_of_the_training(untrained):
    prepared_dataset(PREPARED_FOLDER)
    trained(untrained, imgsz=64)
    first = run(conf=0.0), contents()
    assert (run(conf=0.0, imgsz="auto"), contents()) == first


def contents():
    return {path: path.read_bytes() for path in sorted(EVALUATION_FOLDER.rglob("*")) if path.is_file()}


def test_threshold_comes_from_test_if_val_has_no_objects(untrained):
    prepared_dataset(PREPARED_FOLDER, images={"train": 1, "test": 2})
    run_id = trained(untrained)
    assert run(conf=0.0)["test"]["threshold_from"] == "test"
    tags = logged(run_id).data.tags
    assert tags["finetrack.threshold.from"] == "test"
    assert json.loads(tags["finetrack.evaluate"])["conf"] == 0.0
    assert tags["finetrack.evaluate.threads"] == "1"


def test_metrics_of_a_model_without_detections_are_zero(untrained):
    prepared_dataset(PREPARED_FOLDER)
    trained(untrained)
    test = run(conf=0.9)["test"]
    figures = ("mAP50-95", "mAP50", "mAP50_low", "precision", "recall", "F1")
    assert {test[figure] for figure in figures} == {0.0}
    assert 0 < test["mAP50_high"] < 1


def test_test_split_without_objects_is_refused_and_fails_the_run(untrained):
    prepared_dataset(PREPARED_FOLDER, objects=(0, 0))
    run_id = trained(untrained)
    with pytest.raises(UserError, match="test split of data/prepared has no labelled object"):
        run()
    assert logged(run_id).info.status == "FAILED"


def test_weights_for_other_classes_are_refused(untrained):
    prepared_dataset(PREPARED_FOLDER, classes=("disc", "square"))
    trained(untrained)
    with pytest.raises(
        UserError, match="trained for the classes disc, square, bar, but data/prepared has disc, square:"
    ):
        run()


def test_weights_for_another_task_are_refused(untrained):
    prepared_dataset(PREPARED_FOLDER)
    trained(untrained, task="segment")
    with pytest.raises(UserError, match="trained for segment, but data/prepared is for detect: run"):
        run()


def test_merged_classes_are_evaluated_as_one(tmp_path):
    dataset = prepared_dataset(PREPARED_FOLDER)
    model = DetectionModel("yolo26n.yaml", nc=1, verbose=False)
    model.names = {0: "item"}
    torch.save({"model": model, "train_args": {"task": "detect"}}, tmp_path / "one.pt")
    trained(tmp_path / "one.pt", names=["item"], single_cls=True)
    metrics = run(conf=0.0)
    assert list(metrics["per_class"]) == ["item"]
    assert len({cls for item in dataset.in_split("test") for cls in item.classes}) > 1
    assert metrics["per_class"]["item"]["objects"] == sum(
        len(item.classes) for item in dataset.in_split("test")
    )


def test_absent_training_device_is_replaced_by_the_default(untrained, capsys):
    prepared_dataset(PREPARED_FOLDER)
    trained(untrained)
    with pytest.raises(UserError, match=r"finetune\.device=nonsense is absent"):
        run(device="nonsense")
    run(device=99)
    assert "finetune.device=99 is not on this machine: using the default device" in capsys.readouterr().out


def test_missing_weights_are_refused():
    prepared_dataset(PREPARED_FOLDER)
    with pytest.raises(UserError, match="run finetune first"):
        run()


def test_changed_weights_are_refused(untrained):
    prepared_dataset(PREPARED_FOLDER)
    trained(untrained)
    with (FINETUNED_FOLDER / "best.pt").open("r+b") as file:
        file.seek(100_000)
        file.write(b"\0\1")
    with pytest.raises(UserError, match=r"best\.pt is not what finetune wrote"):
        run()


@pytest.mark.parametrize("contents", [b"", b"no checkpoint", b"PK\x03\x04 cut"])
def test_file_that_is_not_a_checkpoint_is_refused(tmp_path, contents):
    prepared_dataset(PREPARED_FOLDER)
    (tmp_path / "foreign.pt").write_bytes(contents)
    trained(tmp_path / "foreign.pt")
    with pytest.raises(UserError, match=r"best\.pt cannot be loaded .*: run finetune again") as refusal:
        run()
    assert "\n" not in str(refusal.value)


def test_changed_image_is_refused(untrained):
    dataset = prepared_dataset(PREPARED_FOLDER)
    trained(untrained)
    image = PREPARED_FOLDER / "images" / dataset.in_split("test")[0].file
    image.write_bytes(image.read_bytes() + b"\0")
    with pytest.raises(UserError, match="is not as prepare wrote it"):
        run()


def test_label_suspects_are_written_only_on_request(untrained):
    prepared_dataset(PREPARED_FOLDER)
    trained(untrained)
    run(conf=0.0)
    assert not (EVALUATION_FOLDER / "suspects.json").exists()
    run(conf=0.0, suspects=5)
    assert json.loads((EVALUATION_FOLDER / "suspects.json").read_text())["suspects"] == []
    assert "agrees with every label" in (EVALUATION_FOLDER / "suspects.html").read_text()
