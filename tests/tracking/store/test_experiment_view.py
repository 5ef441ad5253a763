"""The saved view of the table of runs, as MLflow's page reads it."""

import json

from mlflow.utils.validation import MAX_EXPERIMENT_TAG_VAL_LENGTH

from pipeline.tracking.store.client import MlflowClientCache
from pipeline.tracking.store.experiment_view import VIEW_TAG, build_view


def test_the_view_is_an_envelope_with_the_state_of_the_page():
    view = json.loads(build_view())
    state = json.loads(view["state"])
    assert (type(view["name"]), type(view["createdAt"]), type(view["updatedAt"])) == (str, int, int)
    assert {"metrics.`test/mAP50-95`", "metrics.`test/mAP50-95_low`", "params.`finetune.lr0`"} <= {
        *state["selectedColumns"]
    }
    assert set(state["selectedColumns"]) <= set(state["columnOrder"])
    assert set(state["columnWidths"]) <= set(state["columnOrder"])
    assert len(build_view()) <= MAX_EXPERIMENT_TAG_VAL_LENGTH


def test_a_new_experiment_has_the_view_and_an_older_one_gets_it(target, client):
    experiment_id = MlflowClientCache(target).experiment
    assert client.get_experiment(experiment_id).tags[VIEW_TAG] == build_view()
    client.delete_experiment_tag(experiment_id, VIEW_TAG)
    assert MlflowClientCache(target).experiment == experiment_id
    assert client.get_experiment(experiment_id).tags[VIEW_TAG] == build_view()


def test_a_view_that_a_user_changed_stays(target, client):
    experiment_id = MlflowClientCache(target).experiment
    client.set_experiment_tag(experiment_id, VIEW_TAG, "mine")
    assert MlflowClientCache(target).experiment == experiment_id
    assert client.get_experiment(experiment_id).tags[VIEW_TAG] == "mine"
