"""The logged model: tied to its run, and loaded and asked in a process without this project."""

import base64
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from importlib.metadata import version
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from mlflow import MlflowClient

from pipeline.tracking.logged_model import SERVED_MODEL_FILE, save_model
from pipeline.tracking.runs import attach_run, open_run
from pipeline.tracking.store.client import MlflowClientCache
from pipeline.tracking.store.registry.registration import register_run
from pipeline.tracking.target import TrackingTarget
from tests.tracking.servers import find_free_port

ROOT = Path(__file__).parents[2]
CHOSEN = {"conf": 0.002, "iou": 0.6, "max_det": 7, "imgsz": 96}
"""Settings of an evaluation, with the threshold that was chosen on val."""
LOAD_AND_PREDICT = """
import base64, json, sys
import mlflow, numpy, pandas, cv2
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model("models:/" + sys.argv[2])
import importlib
importlib.import_module(model.unwrap_python_model().tile_package + ".tiles.merge_tiles")
assert "pipeline" not in sys.modules
file = sys.argv[3]
pixels = cv2.imread(file)[..., ::-1]
data = open(file, "rb").read()
inputs = {
    "example": model.input_example, "path": [file], "alone": file, "bytes": [data],
    "base64": [base64.b64encode(data).decode()], "array": pixels, "batch": [pixels, pixels],
    "table": pandas.DataFrame({"image": [file]}), "rgba": numpy.dstack([pixels, pixels[..., 0]]),
}
params = {"conf": 0.0, "max_det": 5}
tables = {name: model.predict(value, params=params) for name, value in inputs.items()}
tables["defaults"] = model.predict(file)
from ultralytics import YOLO
[found] = YOLO(sys.argv[4]).predict(file, verbose=False, **json.loads(sys.argv[5]))
tables["ultralytics"] = pandas.DataFrame(found.boxes.data.tolist())
print(json.dumps({name: [list(table.columns), table.values.tolist()] for name, table in tables.items()}))
"""


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """An untrained detector of two classes; it predicts boxes, though wrong ones."""
    code = """
import sys
from ultralytics.nn.tasks import DetectionModel
from ultralytics import YOLO
model = YOLO("yolo26n.yaml")
model.model = DetectionModel("yolo26n.yaml", nc=2, verbose=False)
model.model.names = {0: "pit", 1: "stain"}
model.model.args = {"imgsz": 64, "task": "detect"}
model.save(sys.argv[1])
"""
    folder = tmp_path_factory.mktemp("weights")
    environment = os.environ | {"YOLO_CONFIG_DIR": str(folder), "MPLCONFIGDIR": str(folder)}
    subprocess.run(
        [sys.executable, "-c", code, str(folder / "best.pt")],
        env=environment,
        cwd=folder,
        check=True,
        timeout=300,
    )
    return folder / "best.pt"


@pytest.fixture
def image(tmp_path):
    cv2.imwrite(str(tmp_path / "part.png"), np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8))
    return tmp_path / "part.png"


@pytest.fixture
def logged(weights, image, tmp_path, monkeypatch):
    """The address of the store, and the model that a run logged: the champion of `parts`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    target = TrackingTarget("sqlite:///mlflow.db", "trial", 20.0)
    with open_run(target, key="k1", name="demo: full/1", tags={"finetrack.task": "detect"}) as session:
        session.log_params({"finetune": {"lr0": 0.001}})
        session.log_metrics({"best/mAP50-95": 0.25})
        session.log_model(weights, example=image, metrics={"best/mAP50-95": 0.25}, imgsz=96)
    with attach_run(target, key="k1", run_id=session.run_id) as evaluation:
        evaluation.log_metrics({"test/mAP50-95": 0.5})
        evaluation.set_model_defaults(CHOSEN)
    client = MlflowClient(target.address)
    version = register_run(MlflowClientCache(target), session.run_id, "parts").version
    client.set_registered_model_alias("parts", "champion", version)
    [output] = client.get_run(session.run_id).outputs.model_outputs
    return target.address, client.get_logged_model(output.model_id)


def predict_elsewhere(address, model, image, weights, folder):
    """Load the model and predict in a new process, in another folder, without this project."""
    folder.mkdir()
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW", "YOLO", "PYTHON"))
    }
    arguments = [address, model, str(image), str(weights), json.dumps(CHOSEN)]
    answer = subprocess.run(
        [sys.executable, "-c", LOAD_AND_PREDICT, *arguments],
        env=environment | {"YOLO_CONFIG_DIR": str(folder), "MPLCONFIGDIR": str(folder)},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout.splitlines()[-1])


def test_the_model_is_tied_to_its_run_and_predicts_without_this_project(logged, image, weights, tmp_path):
    address, model = logged
    assert (model.name, str(model.status)) == ("demo- full-1", "READY")
    assert {metric.key: metric.value for metric in model.metrics} == {
        "best/mAP50-95": 0.25,
        "test/mAP50-95": 0.5,
    }
    assert model.params == {"finetune.lr0": "0.001"}

    history = MlflowClient(address).get_metric_history(model.source_run_id, "best/mAP50-95")
    assert len(history) == 1

    tables = predict_elsewhere(address, "parts@champion", image, weights, tmp_path / "elsewhere")
    columns, rows = tables["path"]
    assert columns == tables["example"][0] == ["image", "x1", "y1", "x2", "y2", "score", "class", "name"]
    assert 0 < len(rows) <= 5
    assert {row[7] for row in rows} <= {"pit", "stain"}
    for name in ("alone", "bytes", "base64", "array", "rgba", "table"):
        assert tables[name] == tables["path"], name
    assert [row[1:] for row in tables["batch"][1]] == [row[1:] for row in rows] * 2
    assert {row[0] for row in tables["batch"][1]} == {0, 1}
    assert 0 < len(tables["ultralytics"][1]) <= CHOSEN["max_det"]
    assert [row[1:7] for row in tables["defaults"][1]] == tables["ultralytics"][1]


@pytest.mark.slow  # it starts MLflow's own server of models
def test_mlflow_serves_the_champion_with_the_threshold_chosen_on_val(logged, image, weights, tmp_path):
    from ultralytics import YOLO

    address, _ = logged
    port = find_free_port()
    command = [Path(sys.executable).with_name("mlflow"), "models", "serve", "-m", "models:/parts@champion"]
    environment = os.environ | {"MLFLOW_TRACKING_URI": address, "YOLO_CONFIG_DIR": str(tmp_path)}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    server = subprocess.Popen(
        [*command, "--env-manager", "local", "--port", str(port)],
        env=environment,
        cwd=tmp_path,
        start_new_session=True,
    )
    try:
        wait_for_server(f"http://127.0.0.1:{port}/health")
        body = json.dumps({"inputs": [base64.b64encode(image.read_bytes()).decode()]}).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{port}/invocations", body)
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=120) as answer:
            rows = json.load(answer)["predictions"]
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
    [expected] = YOLO(weights).predict(image, verbose=False, **CHOSEN)
    assert [row["score"] for row in rows] == pytest.approx(expected.boxes.conf.tolist(), abs=1e-5)
    assert rows
    assert max(row["score"] for row in rows) < 0.25  # Ultralytics' own threshold would leave none


def wait_for_server(url):
    for _ in range(600):
        try:
            urllib.request.urlopen(url, timeout=1).close()
            return
        except OSError:
            time.sleep(0.2)
    raise TimeoutError(url)


@pytest.mark.parametrize("name", ["saved", "My Projects/100%", "50%20off", "a#b?c"])
def test_no_path_of_the_machine_is_in_the_model(weights, image, tmp_path, name):
    folder = tmp_path / name
    folder.mkdir(parents=True)
    weights = Path(shutil.copy(weights, folder))
    save_model(folder / "model", weights, image)
    described = (folder / "model/MLmodel").read_text()
    assert str(tmp_path) not in described
    assert str(ROOT) not in described
    assert (folder / "model/artifacts/best.pt").read_bytes() == weights.read_bytes()
    assert (folder / "model/served_model.py").read_bytes() == SERVED_MODEL_FILE.read_bytes()
    example = (folder / "model/input_example.json").read_text()
    assert base64.b64decode(example.strip('[]"'))[:2] == b"\xff\xd8"


def test_the_requirements_are_the_installed_versions_without_build_suffix(image, tmp_path):
    (tmp_path / "best.pt").write_bytes(b"in place of weights, which are not loaded here")
    save_model(tmp_path / "model", tmp_path / "best.pt", image)
    requirements = (tmp_path / "model/requirements.txt").read_text().split()
    assert f"ultralytics=={version('ultralytics')}" in requirements
    assert f"torch=={version('torch').split('+')[0]}" in requirements
    assert all(re.fullmatch(r"[\w-]+==[\w.]+", line) for line in requirements)
    conda = yaml.safe_load((tmp_path / "model/conda.yaml").read_text())
    assert conda["dependencies"][-1] == {"pip": requirements}
    assert "requirements.txt" in (tmp_path / "model/python_env.yaml").read_text()


def test_a_model_that_cannot_be_saved_does_not_stop_the_training(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    (tmp_path / "part.png").write_bytes(b"not an image")
    target = TrackingTarget("sqlite:///mlflow.db", "trial", 20.0)
    with open_run(target, key="k1", name="demo", tags={}) as session:
        session.log_model(tmp_path / "best.pt", example=tmp_path / "part.png", metrics={"best/mAP50-95": 0.5})
        session.log_metrics({"loss": 1.0})
    assert "tracking: the model could not be saved for MLflow: " in capfd.readouterr().err
    run = MlflowClient(target.address).get_run(session.run_id)
    assert (run.info.status, run.data.metrics) == ("FINISHED", {"loss": 1.0})
