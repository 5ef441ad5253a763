"""Promotion: better models win, worse ones are refused with the numbers, and all is recorded."""

from __future__ import annotations

import json

import pytest

from pipeline.comparison.compare_models import choose_resamples, compare_models
from pipeline.comparison.models.candidates import find_candidates
from pipeline.comparison.models.collect_models import ModelCollector
from pipeline.core.errors import UserError
from pipeline.iterations.list_iterations import list_iterations
from pipeline.registry.promote import promote_model
from pipeline.registry.register import register_model
from pipeline.registry.rollback import restore_champion
from pipeline.tracking.runs import open_report_run
from pipeline.tracking.store.client import MlflowClientCache
from pipeline.tracking.store.registry.champion_history import ChampionChange, change_champion
from pipeline.tracking.target import TrackingTarget
from tests.registry.conftest import TRACKING, build_config, read_aliases


def test_the_story_of_three_models(runs, config, client):
    first = runs["first"]
    assert register_model(first, config).version == "1"
    promoted = promote_model(None, config)
    assert (promoted.decision.outcome, promoted.decision.comparison) == ("promoted", None)
    assert read_aliases(client) == {"champion": "1"}

    worse = runs["worse"]
    refused = promote_model(worse, config)
    assert (refused.decision.outcome, refused.decision.failed[0].name) == ("refused", "main")
    assert read_aliases(client) == {"champion": "1"}  # nobody registered it as the challenger
    check_record(client, "2", worse, outcome="refused", against="1")
    assert client.get_model_version("parts", "1").tags["finetrack.gate.last"] == "kept"

    better = runs["better"]
    assert promote_model(better, config).decision.outcome == "promoted"
    assert read_aliases(client) == {"champion": "3"}
    check_record(client, "3", better, outcome="promoted", against="1")
    replaced = client.get_model_version("parts", "1")
    assert replaced.tags["finetrack.gate.last"] == "replaced"
    assert "parts/3 was promoted over parts/1" in replaced.description

    restored = restore_champion(config, reason="misses stains")
    assert (restored.version, restored.replaced) == ("1", "3")
    assert read_aliases(client) == {"champion": "1"}
    assert "misses stains" in client.get_model_version("parts", "3").tags["finetrack.gate.rollback"]
    with pytest.raises(UserError, match="no champion before parts/1"):
        restore_champion(config)


def check_record(client, version, run_id, *, outcome, against):
    found = client.get_model_version("parts", version)
    assert (found.tags["finetrack.gate"], found.tags["finetrack.gate.against"]) == (outcome, against)
    numbers = json.loads(found.tags["finetrack.gate.numbers"])
    assert numbers["low"] < numbers["challenger"] - numbers["champion"] < numbers["high"]
    assert numbers["images"] == 60
    assert "mAP50-95" in found.tags["finetrack.gate.reasons"]
    assert client.get_run(run_id).data.tags.items() >= {"finetrack.gate": outcome}.items()
    assert "**Decisions**" in found.description


def test_a_model_that_is_better_but_loses_a_class_is_refused(runs, config):
    promote_model(runs["first"], config)
    failed = promote_model(runs["lopsided"], build_config(epsilon=0.5)).decision.failed
    assert [check.name for check in failed] == ["classes"]
    assert "stain" in failed[0].sentence
    lenient = build_config(epsilon=0.5, class_limit=0.5)
    assert promote_model(runs["lopsided"], lenient).decision.outcome == "promoted"


@pytest.mark.parametrize(
    ("name", "failed"),
    [("leaking", "data"), ("dirty", "code")],
)
def test_a_leak_or_uncommitted_code_stops_a_model_unless_it_is_forced(runs, config, client, name, failed):
    refused = promote_model(runs[name], config)
    assert [check.name for check in refused.decision.failed] == [failed]
    assert read_aliases(client) == {}
    assert promote_model(runs[name], config, force="the line stands still").decision.outcome == "forced"
    assert read_aliases(client) == {"champion": "1"}
    found = client.get_model_version("parts", "1")
    assert found.tags["finetrack.gate.forced"] == "the line stands still"
    assert "the line stands still" in found.description


def test_models_that_cannot_be_compared_are_an_error_unless_it_is_forced(runs, config, client):
    promote_model(runs["first"], config)
    other = runs["relabelled"]
    with pytest.raises(UserError, match=r"anew \(the test images or their labels changed"):
        promote_model(other, config)
    assert read_aliases(client) == {"champion": "1"}
    decision = promote_model(other, config, force="new labels").decision
    assert (decision.outcome, decision.failed[0].name) == ("forced", "main")


@pytest.mark.fault(2, "the predictions that a run stored are of other weights than its own")
def test_stored_predictions_of_other_weights_are_not_used(runs, config):
    promote_model(runs["first"], config)
    with pytest.raises(UserError, match=r"parts/2 .*\(its stored predictions are of other weights"):
        promote_model(runs["replaced"], config)


@pytest.mark.parametrize("outcome", ["refused", "promoted"])
def test_a_later_decision_leaves_the_champions_own_one_as_it_was(runs, config, client, outcome):
    promote_model(runs["dirty"], config, force="camera changed")
    known = client.get_model_version("parts", "1").tags
    before = {name: value for name, value in known.items() if name.startswith("finetrack.gate")}
    challenger = runs["worse" if outcome == "refused" else "better"]
    assert promote_model(challenger, config).decision.outcome == outcome
    champion, other = (client.get_model_version("parts", version) for version in ("1", "2"))
    for tags in (champion.tags, client.get_run(champion.run_id).data.tags):
        assert tags.items() >= before.items()
        assert tags["finetrack.gate"] == "forced"
        assert tags["finetrack.gate.forced"] == "camera changed"
        assert tags["finetrack.gate.last"] == ("kept" if outcome == "refused" else "replaced")
        assert tags["finetrack.gate.challenger"] == "2"
        for name in ("numbers", "reasons", "forced", "time"):
            assert tags[f"finetrack.gate.last.{name}"] == other.tags[f"finetrack.gate.{name}"]


@pytest.mark.fault(2, "the champion is compared on images that the challenger was trained on")
def test_a_model_of_other_data_that_nobody_knows_is_refused(runs, config):
    promote_model(runs["first"], config)
    decision = promote_model(runs["elsewhere"], config).decision
    assert [check.name for check in decision.failed] == ["data"]
    assert "not known" in decision.failed[0].sentence


@pytest.mark.fault(2, "the base weights were trained on present test images")
@pytest.mark.parametrize("has_champion", [True, False])
def test_a_model_whose_base_weights_saw_test_images_is_refused(runs, config, client, has_champion):
    if has_champion:
        promote_model(runs["first"], config)
    decision = promote_model(runs["continued"], config).decision
    assert [check.name for check in decision.failed] == ["data"]
    assert "12 test images" in decision.failed[0].sentence
    decision = promote_model(runs["unsure"], config).decision
    assert decision.outcome == "promoted"
    [data] = [check for check in decision.checks if check.name == "data"]
    assert "not known" in data.sentence
    version = client.get_model_version_by_alias("parts", "champion")
    assert "not known" in version.tags["finetrack.gate.reasons"]


@pytest.mark.fault(2, "the base weights of the champion were trained on present test images")
@pytest.mark.parametrize("champion", ["continued", "unsure"])
def test_a_champion_whose_base_weights_may_have_seen_test_images_is_told_of(runs, config, champion):
    promote_model(runs[champion], config, force="before")
    assert len(promote_model(runs["first"], config).notes) == 1


def test_the_champion_is_not_promoted_again_and_nothing_without_a_challenger(runs, config):
    with pytest.raises(UserError, match="no version of parts is the challenger"):
        promote_model(None, config)
    run_id = runs["first"]
    promote_model(run_id, config)
    with pytest.raises(UserError, match="parts/1 is the champion already"):
        promote_model(run_id, config)
    with pytest.raises(UserError, match="no version of parts is the challenger"):
        promote_model(None, config)


def test_the_challenger_stays_the_one_that_was_registered_whatever_run_is_promoted(runs, config, client):
    promote_model(runs["first"], config)
    register_model(runs["better"], config)
    assert promote_model(runs["worse"], config).decision.outcome == "refused"
    assert read_aliases(client) == {"champion": "1", "challenger": "2"}
    assert promote_model(None, config).contest.challenger == "2"
    assert read_aliases(client) == {"champion": "2"}


def test_the_gate_and_a_comparison_give_the_same_figures(runs, config, target, tmp_path):
    promote_model(runs["first"], config)
    main = promote_model(runs["better"], config).decision.comparison.main
    names = [runs["first"], runs["better"]]
    candidates = find_candidates(names, target, registry_name="none")
    models = ModelCollector(config, target, tmp_path / "found").collect(candidates).models
    how = {"resamples": choose_resamples(config.evaluate), "seed": config.seed}
    assert compare_models(models, **how)[0].main == main


def test_neither_the_run_of_champions_nor_a_comparison_is_an_iteration(runs, config, target):
    promote_model(runs["first"], config)
    with open_report_run(target, name="first or better", command="compare", tags={}):
        pass
    listed = {iteration.run_id for iteration in list_iterations(target, registry_name="parts")}
    assert listed == set(runs.values())


def test_nothing_is_rolled_back_where_nothing_was_registered(config):
    with pytest.raises(UserError, match="nothing is registered as parts"):
        restore_champion(config)


def test_a_champion_whose_version_was_deleted_is_not_restored(runs, config, client):
    promote_model(runs["first"], config)
    promote_model(runs["better"], config)
    client.delete_model_version("parts", "1")
    with pytest.raises(UserError, match="parts/1, the champion before, was deleted"):
        restore_champion(config)
    assert read_aliases(client) == {"champion": "2"}


@pytest.mark.fault(13, "a promotion is killed after the alias, before its record")
def test_the_record_of_a_killed_promotion_is_written_by_the_next_command(runs, config, client):
    promote_model(runs["first"], config)
    assert promote_model(runs["worse"], config).decision.outcome == "refused"
    store = MlflowClientCache(TrackingTarget(**TRACKING))
    change = ChampionChange("promote", "2", "1", "parts/2 was promoted over parts/1, forced: a trial")
    change_champion(store, "parts", change, expected="1")  # and then SIGKILL
    assert client.get_model_version("parts", "2").tags["finetrack.gate"] == "refused"
    client.delete_run(runs["first"])  # whose version has a record all the same
    assert promote_model(runs["better"], config).decision.outcome == "promoted"
    record = client.get_model_version("parts", "2")
    assert record.tags["finetrack.gate"] == "forced"
    assert record.tags["finetrack.gate.last"] == "replaced"
    assert record.tags["finetrack.gate.forced"] == "a trial"  # and not the refusal's
    assert json.loads(record.tags["finetrack.gate.numbers"]) == {"version": "2", "against": "1"}
    assert json.loads(record.tags["finetrack.gate.last.numbers"])["version"] == "3"
    assert "parts/2 was promoted over parts/1, forced: a trial" in record.description
    assert client.get_model_version("parts", "1").tags["finetrack.gate.last"] == "replaced"


@pytest.mark.fault(13, "a promotion is killed after the alias, before its record")
def test_a_rollback_writes_the_missing_record_too(runs, config, client):
    promote_model(runs["first"], config)
    register_model(runs["better"], config)
    store = MlflowClientCache(TrackingTarget(**TRACKING))
    change_champion(store, "parts", ChampionChange("promote", "2", "1", "parts/2 was promoted"), expected="1")
    assert restore_champion(config).version == "1"
    assert client.get_model_version("parts", "2").tags["finetrack.gate"] == "promoted"
    assert "parts/2 was promoted" in client.get_model_version("parts", "2").description
