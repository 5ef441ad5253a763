"""The alias moves while clients ask: every request is answered, each by one model, the old or the new one."""

from __future__ import annotations

import gc
import hashlib
import json
import shutil
import threading
import time

import numpy as np
import pytest
from psutil import Process

from pipeline.config.groups.evaluate import EvaluateConfig
from pipeline.config.groups.registry import RegistryConfig
from pipeline.config.groups.tracking import TrackingConfig
from pipeline.config.schema import Config
from pipeline.core.errors import UserError
from pipeline.serve.inference.alias_watch import AliasWatch
from pipeline.serve.inference.find_model import ModelRequest, find_alias_position, find_model
from pipeline.serve.inference.prediction_service import PredictionService
from pipeline.tracking.store.client import MlflowClientCache
from pipeline.tracking.store.run_tags import DEFAULTS_TAG, STAGE_TAG_PREFIX, WEIGHTS_TAG
from pipeline.tracking.store.tracked_runs import RunReader
from tests.builders import draw_objects
from tests.trainings import FOUNDATION

TRACKING = {"uri": "sqlite:///mlflow.db", "experiment": "trial", "timeout": 20.0}
THRESHOLDS = {"1": 0.05, "2": 0.2}
IMAGE = draw_objects(np.array([0, 1, 2]), pixels=64, rng=np.random.default_rng(0))[0]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project with three versions of a model: two of different thresholds, and one without weights."""
    folder = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("DVC_ROOT", raising=False)
        store = MlflowClientCache(build_request().target)
        store.client.create_registered_model("parts")
        digest = hashlib.sha256(FOUNDATION.read_bytes()).hexdigest()
        kept = folder / ".finetrack/iterations" / digest
        kept.mkdir(parents=True)
        shutil.copy(FOUNDATION, kept / "best.pt")  # as if it had been fetched before
        for conf, sha256 in ((THRESHOLDS["1"], digest), (THRESHOLDS["2"], digest), (0.5, "0" * 64)):
            run_id = add_run(store, conf, sha256)
            store.client.create_model_version("parts", "s3://nowhere/model", run_id)
        yield folder


def add_run(store, conf, sha256):
    """Add what finetune and evaluate leave of a run."""
    chosen = {"conf": conf, "iou": 0.6, "max_det": 7, "imgsz": 64}
    tags = {
        STAGE_TAG_PREFIX + "finetune": "finished",
        "finetrack.task": "detect",
        WEIGHTS_TAG: sha256,
        DEFAULTS_TAG: json.dumps(chosen),
    }
    run = store.client.create_run(store.experiment, tags=tags, run_name=f"from {conf}")
    store.client.set_terminated(run.info.run_id)
    return run.info.run_id


@pytest.fixture
def client(project):  # noqa: ARG001 - its database
    """The first version is the champion."""
    client = MlflowClientCache(build_request().target).client
    client.set_registered_model_alias("parts", "champion", "1")
    return client


def build_request():
    config = Config.model_construct(
        evaluate=EvaluateConfig.model_construct(iou=0.7, max_det=300, overlap=0.2, batch=16),
        registry=RegistryConfig.model_construct(name="parts"),
        tracking=TrackingConfig(**TRACKING, run_name=None, tags={}, system_metrics=False),
    )
    return ModelRequest("champion", config, {"batch": 4, "device": "cpu", "threads": 1})


@pytest.fixture
def request_(client):  # noqa: ARG001 - its registry
    return build_request()


@pytest.fixture
def service(request_):
    service = PredictionService(find_model(request_).model)
    yield service
    service.close()


def find_position(request):
    return find_alias_position(request, RunReader(request.target))


def ask(service):
    return service.submit([IMAGE]).future.result(60)


def test_a_model_answers_as_it_was_evaluated(service):
    assert (service.identity.version, service.identity.conf, service.identity.max_det) == ("1", 0.05, 7)
    assert service.identity.run_id
    result = ask(service)
    assert len(result.predictions[0].scores) > 1
    assert result.predictions[0].scores.min() >= 0.05


@pytest.mark.fault(13, "the champion changes while the server answers")
def test_no_request_is_lost_while_the_alias_moves(service, request_, client):
    watch = AliasWatch(service, request_, find_position(request_), seconds=0.05)
    over, results, errors = threading.Event(), [], []

    def work():
        while not over.is_set():
            try:
                results.append(ask(service))
            except Exception as error:
                errors.append(error)

    clients = [threading.Thread(target=work) for _ in range(4)]
    for thread in (watch, *clients):
        thread.start()
    for version in ("2", "1"):
        client.set_registered_model_alias("parts", "champion", version)
        end = time.monotonic() + 60
        while service.identity.version != version and time.monotonic() < end:
            time.sleep(0.02)
        count = len(results)
        while len(results) < count + 12 and time.monotonic() < end:
            time.sleep(0.02)
    over.set()
    for thread in clients:
        thread.join()
    watch.stop()
    assert errors == []
    assert {result.model.version for result in results} == {"1", "2"}
    weakest = {
        version: min(one.predictions[0].scores.min() for one in results if one.model.version == version)
        for version in THRESHOLDS
    }
    assert weakest["1"] < THRESHOLDS["2"] <= weakest["2"]
    assert "finetrack_reloads_total 2" in service.metrics.format(waiting=0, active=0, model={})


@pytest.fixture
def rare_collections():
    """Python seldom collects cycles in a server that has run for long: here never by itself."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.slow
@pytest.mark.fault(13, "the champion changes while the server answers")
@pytest.mark.usefixtures("rare_collections")
def test_a_server_that_takes_many_champions_needs_no_more_memory(service, request_, client, record_property):
    watch, process, used = AliasWatch(service, request_, find_position(request_), seconds=60), Process(), []
    for number in range(40):
        version = "21"[number % 2]
        client.set_registered_model_alias("parts", "champion", version)
        watch.look()
        assert ask(service).model.version == version
        used.append((process.memory_info().rss, process.num_fds(), process.num_threads()))
    record_property("tries", 40)
    memory, files, threads = (after - before for before, after in zip(used[9], used[-1], strict=True))
    assert memory < 40e6
    assert (files, threads) <= (2, 1)


@pytest.mark.fault(11, "the weights of a new champion cannot be had while the server runs")
def test_a_model_that_cannot_be_loaded_leaves_the_present_one(service, request_, client, capsys):
    client.set_registered_model_alias("parts", "champion", "3")
    watch = AliasWatch(service, request_, ("1", service.identity.run_id), seconds=0.02)
    watch.start()
    end = time.monotonic() + 60
    while service.failure is None and time.monotonic() < end:
        time.sleep(0.02)
    time.sleep(0.2)
    watch.stop()
    assert ask(service).model.version == "1"
    assert service.failure
    assert capsys.readouterr().err.count("answers on") == 1


@pytest.mark.fault(6, "the registry is away while the server looks at it")
def test_an_alias_that_is_gone_or_an_outage_is_no_reason_to_stop(service, request_, client, project):
    watch = AliasWatch(service, request_, find_position(request_), seconds=60)
    watch.look()
    client.delete_registered_model_alias("parts", "champion")
    with pytest.raises(UserError):
        watch.look()
    (project / "mlflow.db").rename(project / "away.db")
    (project / "mlflow.db").write_bytes(b"no database" * 100)
    with pytest.raises(UserError):
        AliasWatch(service, request_, ("1", None), seconds=60).look()
    assert ask(service).model.version == "1"
    (project / "away.db").replace(project / "mlflow.db")
