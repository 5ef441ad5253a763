"""Upload the model of a run: one per run, found again and completed when it is sent a second time."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml
from filelock import FileLock

from pipeline.storage.scratch_folder import create_scratch_folder
from pipeline.tracking.logged_model import TILES_KEY
from pipeline.tracking.model_signature import TILE_PARAMS, build_signature, describe_tiles, read_defaults
from pipeline.tracking.outbox import OutboxMessage
from pipeline.tracking.store.client import MlflowClientCache
from pipeline.tracking.store.metric_points import tie_results
from pipeline.tracking.store.run_tags import DEFAULTS_TAG

MODEL_TAG: Final = "finetrack.model"
"""Tag of a logged model with the id of its run."""
TILES_TAG: Final = "finetrack.tiles"
"""Tag of a model that was evaluated on tiles, and cannot use them: what that means for its use."""
CLAIM_WAIT_SECONDS: Final = 60.0
"""Seconds to wait for another process of this project that looks for its model."""


def upload_model(store: MlflowClientCache, run_id: str, message: OutboxMessage, folder: Path) -> None:
    """Upload a saved model as the logged model of its run, with the run's parameters and the results.

    A run has one model. A message that is sent twice, or a second one after a stop, completes that model.
    """
    saved = _read_model(folder)
    client, run = store.client, store.client.get_run(run_id)
    logged = _reserve_model(store, run, saved.metadata["task"])
    known = logged.params or {}
    missing = {name: value for name, value in run.data.params.items() if name not in known}
    if missing:
        client.log_model_params(logged.model_id, missing)
    defaults = json.loads(run.data.tags.get(DEFAULTS_TAG, "{}"))
    _set_defaults(saved, defaults)
    saved.model_id = saved.model_uuid = logged.model_id
    saved.run_id, saved.artifact_path = run_id, logged.artifact_location
    saved.save(str(folder / "MLmodel"))
    client.log_model_artifacts(logged.model_id, str(folder))
    tie_results(store, client.get_run(run_id), logged.model_id, message["values"], time=message["time"])
    client.set_logged_model_tags(logged.model_id, _describe_model(logged.model_id, run, saved, defaults))
    client.finalize_logged_model(logged.model_id, "READY")


def update_model_defaults(store: MlflowClientCache, run_id: str, defaults: Mapping[str, float]) -> None:
    """Make these settings the defaults of the run's model; one that is not uploaded yet gets them then."""
    from mlflow.artifacts import download_artifacts

    run = store.client.get_run(run_id)
    logged = find_model(store, run)
    if logged is None or str(logged.status) != "READY":
        return
    with tempfile.TemporaryDirectory() as folder:
        place = f"{logged.artifact_location}/MLmodel"
        download_artifacts(place, dst_path=folder, tracking_uri=store.target.address)
        saved = _read_model(Path(folder))
        if _set_defaults(saved, defaults):
            saved.save(str(Path(folder, "MLmodel")))
            store.client.log_model_artifact(logged.model_id, str(Path(folder, "MLmodel")))
    tags = _describe_model(logged.model_id, run, saved, defaults)
    store.client.set_logged_model_tags(logged.model_id, tags)


def find_model(store: MlflowClientCache, run: Any) -> Any:
    """Return the logged model of a run; None if there is none.

    Earlier versions could leave two after a stop: the one that the run names as its output is it.
    """
    condition = f"source_run_id = '{run.info.run_id}'"
    found = store.client.search_logged_models([run.info.experiment_id], filter_string=condition)
    outputs = run.outputs.model_outputs if run.outputs else []
    by_id = {logged.model_id: logged for logged in reversed(found)}
    return by_id.get(outputs[-1].model_id if outputs else "") or next(iter(found), None)


def _reserve_model(store: MlflowClientCache, run: Any, task: str) -> Any:
    """Find or create the model of the run, and name it as the run's output before anything is uploaded."""
    from mlflow.entities import LoggedModelOutput

    with FileLock(create_scratch_folder("locks") / "mlflow-runs.lock", timeout=CLAIM_WAIT_SECONDS):
        logged = find_model(store, run) or store.client.create_logged_model(
            run.info.experiment_id,
            name=make_model_name(run.info.run_name),
            source_run_id=run.info.run_id,
            model_type=task,
            tags={MODEL_TAG: run.info.run_id},
        )
        outputs = run.outputs.model_outputs if run.outputs else []
        if logged.model_id not in {output.model_id for output in outputs}:
            store.client.log_outputs(run.info.run_id, [LoggedModelOutput(logged.model_id, step=0)])
    return logged


def make_model_name(name: str) -> str:
    """Make a legal model name: MLflow does not allow `/ : . % " '` in it."""
    return re.sub(r"[/:.%\"']+", "-", name).strip("- ") or "detector"


def _set_defaults(saved: Any, defaults: Mapping[str, float]) -> bool:
    """Change the defaults in a model's description; return whether anything changed.

    Tiles are those of the last evaluation: none, if it used none.
    """
    known = read_defaults(saved.signature)
    kept = {name: value for name, value in known.items() if name not in TILE_PARAMS}
    can_tile = TILES_KEY in saved.metadata
    chosen = {name: value for name, value in defaults.items() if can_tile or name not in TILE_PARAMS}
    changed = build_signature(saved.metadata["task"], {**kept, **chosen})
    saved.signature.params = changed.params  # a new signature would lose how inputs reach `predict`
    return bool(known != read_defaults(changed))


def _describe_model(model_id: str, run: Any, saved: Any, defaults: Mapping[str, Any]) -> dict[str, str]:
    """Return the tags of the model's page: how to use it, and who trained it."""
    params = json.dumps(read_defaults(saved.signature), allow_nan=False)
    usage = f'mlflow.pyfunc.load_model("models:/{model_id}").predict(["part.jpg"], params={params})'
    data = "Input: {input}. Output: {output}.".format(**saved.metadata)
    tiles = "" if TILES_KEY in saved.metadata else describe_tiles(defaults)
    note = "\n\n".join(filter(None, (f"```python\n{usage}\n```", data, tiles)))
    origin = ("mlflow.user", "mlflow.source.name", "mlflow.source.type")
    known = {name: run.data.tags[name] for name in origin if name in run.data.tags}
    return known | {"mlflow.note.content": note, TILES_TAG: tiles}


def _read_model(folder: Path) -> Any:
    """Read the MLmodel file. `Model.load` does not find it in folders with names such as `50%20off`."""
    from mlflow.models import Model

    return Model.from_dict(yaml.safe_load((folder / "MLmodel").read_text()))
