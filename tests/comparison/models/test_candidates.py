"""Which runs are one model, how models are called, and what differs between them."""

from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.comparison.models.candidates import MAX_LABEL_LENGTH, group_candidates
from pipeline.comparison.models.model_differences import list_model_differences
from pipeline.core.errors import UserError
from pipeline.iterations.iteration import Iteration


def run(name, *, seed=0, lr0=0.001, data="d", **facts):
    params = {"seed": seed, "finetune.lr0": lr0, "evaluate.worst": 5, "tracking.uri": name}
    changes = {"run_id": f"{lr0}-{seed}-{name}", "params": params, "data": data, "sha256": name * 9}
    return Iteration(**{"reference": name, "kind": "run", "label": name, **changes, **facts})


def labels(*iterations: Iteration, **how):
    return [(each.label, len(each.iterations)) for each in group_candidates(iterations, **how)]


def test_runs_that_differ_in_their_seed_alone_are_one_model():
    found = labels(run("a"), run("b", lr0=0.2), run("c", seed=1), run("d", lr0=0.2, seed=1), run("e", seed=2))
    assert found == [("a (3 seeds)", 3), ("b (2 seeds)", 2)]


def test_runs_of_one_configuration_are_compared_if_nothing_else_is_left():
    assert labels(run("a"), run("c", seed=1)) == [("a", 1), ("c", 1)]


def test_runs_are_not_pooled_on_request_or_where_more_than_the_seed_differs():
    first, second = run("a"), run("b", lr0=0.2)
    assert len(labels(first, second, run("c", seed=1), pool=False)) == 3
    assert len(labels(first, second, run("c", seed=1, data="e"))) == 3
    assert len(labels(first, second, run("c", seed=1, lr0=0.3))) == 3
    assert len(labels(first, second, run("c"))) == 3
    assert len(labels(first, second, Iteration("best.pt", "file", "best.pt", file=Path("best.pt")))) == 3


@pytest.mark.fault(2, "two seeds of one configuration, the code or base weights changed between them")
def test_runs_of_other_code_or_other_base_weights_are_not_pooled():
    def label(**facts):
        return labels(run("a", **facts), run("b", lr0=0.2), run("c", seed=1, **{**facts, **other}))

    other = {"facts": {"code": "2" * 40}}
    assert len(label(facts={"code": "1" * 40})) == 3
    assert len(label(facts={"code": "2" * 40})) == 2
    assert len(label(facts={"code": "1" * 40, "dirty": True})) == 2  # nobody knows
    other = {"tags": {"finetrack.base.sha256": "2" * 64}}
    assert len(label(tags={"finetrack.base.sha256": "1" * 64})) == 3
    assert len(label(tags={"finetrack.base.sha256": "2" * 64})) == 2


def test_two_evaluations_of_the_same_weights_are_no_seeds():
    first, again = run("a", sha256="1" * 64), run("c", seed=1, sha256="1" * 64)
    assert len(labels(first, run("b", lr0=0.2), again)) == 3
    assert labels(first, again, run("d", seed=2), run("b", lr0=0.2))[0] == ("a (2 seeds)", 2)


def test_keys_that_change_no_prediction_do_not_matter():
    other = run("c", seed=1)
    other = replace(other, params={**other.params, "evaluate.worst": 9, "tracking.uri": "elsewhere"})
    assert len(labels(run("a"), run("b", lr0=0.2), other)) == 2


def test_models_of_one_name_are_told_apart_and_long_names_are_cut():
    found = group_candidates([run("same"), run("same", lr0=0.2), run("x" * 80, lr0=0.3)])
    assert len({each.label for each in found}) == 3
    assert found[0].label == "same [0.001-0-]"
    assert len(found[2].label) == MAX_LABEL_LENGTH


def test_an_alias_is_called_by_its_name():
    assert labels(run("a", kind="alias", reference="champion"), run("b", lr0=0.2))[0][0] == "champion"


def test_the_same_model_twice_is_refused():
    with pytest.raises(UserError, match="the same model"):
        group_candidates([run("a"), run("a")])


def test_differences_name_configuration_data_code_and_weights():
    commit = {"facts": {"commit": "1" * 40, "dirty": False}}
    first = run("a", **commit)
    second = run("b", lr0=0.2, data="e" * 64, facts={"commit": "2" * 40, "dirty": True})
    rows = {row.name: row.values for row in list_model_differences(group_candidates([first, second]))}
    assert rows["finetune.lr0"] == ("0.001", "0.2")
    assert rows["data"] == ("d", "e" * 10)
    assert rows["code"] == ("1" * 10, f"{'2' * 10} with edits")
    assert set(rows) == {"finetune.lr0", "data", "code", "weights"}


def test_the_seed_of_pooled_runs_is_no_difference():
    found = group_candidates([run("a", seed=3), run("c", seed=1), run("b", lr0=0.2, seed=0)])
    rows = {row.name: row.values for row in list_model_differences(found)}
    assert set(rows) == {"finetune.lr0", "weights"}
    assert rows["weights"][0] == "2 trainings"


def test_a_file_has_an_unknown_configuration():
    file = Iteration("best.pt", "file", "best.pt", file=Path("best.pt"), sha256="f" * 64)
    rows = {row.name: row.values for row in list_model_differences(group_candidates([run("a"), file]))}
    assert rows["data"] == ("d", "unknown")
    assert "finetune.lr0" not in rows


def test_seeds_of_other_base_weights_or_of_the_workspace_are_models_of_their_own():
    def label(*three: object):
        return labels(run("a", lr0=0.2), *three)

    ones = {"facts": {"base": "1" * 64}}
    assert len(label(run("b", **ones), run("c", seed=1, **ones))) == 2
    assert len(label(run("b", **ones), run("c", seed=1, facts={"base": "2" * 64}))) == 3
    assert len(label(run("b"), run("workspace", seed=1))) == 3
    assert len(label(run("b"), run("c", seed=1), run("d"))) == 3  # one seed twice
