from __future__ import annotations

import pytest

from pipeline.core.errors import UserError
from pipeline.sweep.space.search_space import SearchSpace
from pipeline.sweep.study import sweep_study
from pipeline.sweep.study.study_inputs import StudyInputs
from tests.sweep.study.studies import (
    CHOICES,
    INTERVALS,
    MIXED,
    STRATEGY,
    build_result,
    compute_score,
    open_sweep,
    run_sweep,
    train,
)

pytestmark = pytest.mark.usefixtures("project")


def test_grid_runs_in_the_order_of_hydra_once():
    study = open_sweep(CHOICES)
    assert run_sweep(study) == list(range(6))
    assert [tuple(point.values.values()) for point in study.points][:4] == [
        ("full", "320"),
        ("full", "640"),
        ("full", "960"),
        ("head", "320"),
    ]
    assert study.is_complete
    assert [point.number for point in study.best_points] == [1]
    study.close()
    again = open_sweep(CHOICES)
    assert run_sweep(again) == []
    assert again.is_complete
    again.close()


def test_grid_without_some_combinations_and_fewer_points_goes_on_with_more():
    grid = [{"finetune": "head", "finetune.imgsz": size} for size in ("960", "320", "640")]
    study = open_sweep(CHOICES, inputs=StudyInputs({}, grid=grid), trials=2)
    assert run_sweep(study) == [0, 1]
    assert study.is_complete
    study.close()
    study = open_sweep(CHOICES, inputs=StudyInputs({}, grid=grid))
    assert not study.is_complete
    assert run_sweep(study) == [2]
    assert [point.values for point in study.points] == grid
    study.close()


def test_a_trial_that_two_processes_made_beyond_the_grid_is_no_point():
    study = open_sweep(CHOICES)
    run_sweep(study)
    study._store.release(study._store.create_trial())  # another process saw five points, too, and was killed
    study.close()
    again = open_sweep(CHOICES)
    assert not again.is_complete
    assert run_sweep(again) == []
    assert again.is_complete
    assert len(again.points) == 6
    again.close()


@pytest.mark.parametrize("sampler", ["random", "tpe", "gp", "cmaes"])
def test_a_search_begins_with_the_given_point_alone(sampler):
    start = {"finetune.lr0": 0.002, "finetune.mosaic": 1.0, "finetune.freeze": 4}
    study = open_sweep(INTERVALS, inputs=StudyInputs({}, start=start), sampler=sampler, trials=3)
    study.finish_job(build_result(study.next_job(), "failed", reason="it fell"))
    study.close()
    study = open_sweep(INTERVALS, inputs=StudyInputs({}, start=start), sampler=sampler, trials=3)
    assert run_sweep(study) == [0, 1, 2]
    first, *others = (point.values for point in study.points)
    assert first == start
    assert start not in others
    study.close()


@pytest.mark.fault(14, "a study is opened again with other inputs")
def test_other_inputs_are_refused_by_name():
    open_sweep(INTERVALS, inputs=StudyInputs({"images": "1", "code": "1"})).close()
    study = open_sweep(INTERVALS, inputs=StudyInputs({"images": "3", "code": "1"}))  # nothing was trained yet
    study.finish_job(build_result(study.next_job()))
    study.close()
    with pytest.raises(UserError, match="other code and images:"):
        open_sweep(INTERVALS, inputs=StudyInputs({"images": "2", "code": "2"}))
    with pytest.raises(UserError, match="other search space:"):
        open_sweep(MIXED, inputs=StudyInputs({"images": "3", "code": "1"}), sampler="tpe")
    with pytest.raises(UserError, match="other steps of pruning"):
        open_sweep(INTERVALS, inputs=StudyInputs({"images": "3", "code": "1"}), pruner="wilcoxon", seeds=4)
    with pytest.raises(UserError, match=r"other sweep\.seeds:"):
        open_sweep(INTERVALS, inputs=StudyInputs({"images": "3", "code": "1"}), seeds=2)


@pytest.mark.fault(14, "a job of a sweep fails")
def test_failed_and_killed_jobs_run_again_once_in_the_next_process():
    def run(_, job):
        statuses = {1: "failed", 2: "killed"}
        return build_result(job, statuses.get(job.number, "trained"), reason="it broke")

    study = open_sweep(CHOICES)
    assert run_sweep(study, run) == list(range(6))
    assert [point.status for point in study.points[:4]] == ["complete", "failed", "failed", "complete"]
    assert study.points[1].reason == "it broke"
    assert not study.is_complete
    assert [point.number for point in study.best_points] == [4]
    study.close()
    study = open_sweep(CHOICES)
    jobs = [study.next_job(), study.next_job()]
    assert [(job.number, job.attempt) for job in jobs] == [(1, 2), (2, 2)]
    assert study.next_job() is None
    for job in jobs:
        study.finish_job(train(study, job))
    assert study.is_complete
    assert [point.number for point in study.best_points] == [1]
    study.close()


def test_jobs_that_were_stopped_are_taken_up_with_their_number():
    study = open_sweep(INTERVALS, trials=3)
    first, second = study.next_job(), study.next_job()
    study.finish_job(train(study, first))
    study.report_epoch(second.number, 1, 0.25)
    study.stop()
    assert study.next_job() is None
    study.close()
    study = open_sweep(INTERVALS, trials=3)
    job = study.next_job()
    assert (job.number, job.values, job.attempt) == (second.number, second.values, 2)
    assert study.points[1].curves == {0: {1: 0.25}}
    study.close()


def test_seeds_and_folds_are_trainings_of_one_point():
    study = open_sweep(CHOICES, inputs=StudyInputs({}, base_seed=7), seeds=2, folds=2, trials=1)
    jobs = [study.next_job() for _ in range(4)]
    assert study.next_job() is None
    assert [job.number for job in jobs] == [0, 1, 2, 3]
    assert [job.overrides for job in jobs] == [
        ("seed=7", "data.folds=2", "data.fold=0"),
        ("seed=7", "data.folds=2", "data.fold=1"),
        ("seed=8", "data.folds=2", "data.fold=0"),
        ("seed=8", "data.folds=2", "data.fold=1"),
    ]
    for job, score in zip(jobs, (0.5, 0.6, 0.7, 0.8), strict=True):
        assert not study.best_points
        study.finish_job(build_result(job, metrics={"mAP50-95": score}))
    [best] = study.best_points
    assert best.objectives == (pytest.approx(0.65),)
    assert best.spread == pytest.approx(0.1291, abs=1e-4)
    study.close()


def test_only_the_failed_repetition_runs_again():
    study = open_sweep(CHOICES, seeds=2, trials=1)
    jobs = [study.next_job(), study.next_job()]
    study.finish_job(build_result(jobs[0], "failed"))
    study.finish_job(build_result(jobs[1]))
    assert study.next_job() is None
    assert study.best_points == []
    study.close()
    study = open_sweep(CHOICES, seeds=2, trials=1)
    assert run_sweep(study) == [0]
    assert len(study.best_points) == 1
    study.close()


@pytest.mark.parametrize("pruner", ["median", "asha"])
def test_a_pruned_point_has_no_further_repetitions(pruner):
    study = open_sweep(CHOICES, pruner=pruner, pruner_startup=2, seeds=2)
    ran = run_sweep(study)
    pruned = [point for point in study.points if point.status == "pruned"]
    assert pruned
    assert {number for number in ran if number // 2 in {point.number for point in pruned}} == {
        2 * point.number for point in pruned
    }
    summary = study.summarize_pruning()
    assert summary.jobs == summary.skipped == len(pruned)
    assert summary.seconds > 0
    study.close()


@pytest.mark.parametrize(("pruner", "at_once"), [("none", 4), ("median", 3), ("wilcoxon", 1)])
def test_repetitions_wait_for_those_that_are_judged(pruner, at_once):
    study = open_sweep(CHOICES, pruner=pruner, seeds=4, trials=1)
    jobs = [study.next_job()] if pruner != "none" else []
    if jobs:
        assert study.next_job() is None
        study.finish_job(train(study, jobs[0]))
    started = 0
    while study.next_job() is not None:
        started += 1
    assert started == at_once
    study.close()


def test_wilcoxon_leaves_out_the_last_seeds_of_a_worse_point():
    def run(_, job):
        return build_result(job, metrics={"mAP50-95": compute_score(job.values) + job.repetition / 1000})

    study = open_sweep(CHOICES, pruner="wilcoxon", pruner_startup=2, seeds=5)
    ran = run_sweep(study, run)
    assert [sum(number // 5 == point for number in ran) for point in range(6)] == [5, 5, 3, 3, 3, 3]
    assert [point.status for point in study.points] == ["complete"] * 2 + ["pruned"] * 4
    assert study.summarize_pruning().skipped == 8
    study.close()


def test_epochs_that_are_reported_again_get_the_same_answer():
    study = open_sweep(CHOICES, pruner="median", pruner_startup=1, pruner_warmup=1)
    study.finish_job(train(study, study.next_job()))
    job = study.next_job()
    answers = [study.report_epoch(job.number, epoch, 0.01, epochs=9) for epoch in (1, 2, 1, 2, 3)]
    assert answers == [False, True, False, True, True]
    assert study.points[1].curves[0] == {1: 0.01, 2: 0.01}
    study.close()


@pytest.mark.parametrize("pruner", ["median", "asha"])
@pytest.mark.parametrize("untrained", ["duplicate", "restored"])
def test_points_that_were_not_trained_are_no_startup_points(pruner, untrained):
    def restore(_, job):
        return build_result(job, "restored", metrics={"mAP50-95": 0.9})

    def compute_key(values):
        return "full" if untrained == "duplicate" and values["finetune"] == "full" else str(values)

    inputs = StudyInputs({}, compute_key=compute_key)
    study = open_sweep(CHOICES, inputs=inputs, pruner=pruner, pruner_startup=2)
    study.finish_job(train(study, study.next_job()))
    for _ in range(2 if untrained == "restored" else 0):
        study.finish_job(restore(study, study.next_job()))
    job = study.next_job()
    assert not any(study.report_epoch(job.number, epoch, 0.01 * epoch, epochs=9) for epoch in range(1, 6))
    study.finish_job(build_result(job))
    job = study.next_job()
    assert any(study.report_epoch(job.number, epoch, 0.001 * epoch, epochs=9) for epoch in range(1, 6))
    study.close()


def test_the_last_epoch_is_not_pruned():
    study = open_sweep(CHOICES, pruner="median", pruner_startup=1)
    study.finish_job(train(study, study.next_job()))
    job = study.next_job()
    assert not study.report_epoch(job.number, 5, 0.01, epochs=5)
    study.close()


def test_points_that_are_one_training_run_once():
    inputs = StudyInputs({}, compute_key=lambda values: values["finetune"])
    study = open_sweep(CHOICES, inputs=inputs)
    assert run_sweep(study) == [0, 3]
    points = study.points
    assert [point.duplicate_of for point in points] == [None, 0, 0, None, 3, 3]
    assert points[1].objectives == points[0].objectives
    assert [point.number for point in study.best_points] == [0]
    assert study.is_complete
    study.close()


def test_points_that_cannot_be_trained_are_no_jobs():
    def find_error(values):
        return "too large" if values["finetune.imgsz"] == "960" else None

    study = open_sweep(CHOICES, inputs=StudyInputs({}, find_error=find_error))
    assert run_sweep(study) == [0, 1, 3, 4]
    assert [point.reason for point in study.points if point.status == "infeasible"] == ["too large"] * 2
    study.close()


def test_a_sampler_without_new_points_ends_the_sweep(monkeypatch):
    monkeypatch.setattr(sweep_study, "MOST_PROPOSALS_IN_A_ROW", 5)
    space = SearchSpace((), (STRATEGY,))
    study = open_sweep(space, sampler="random", trials=20)
    run_sweep(study)
    assert sorted(point.values["finetune"] for point in study.points if point.status == "complete") == [
        "full",
        "head",
    ]
    assert study.is_exhausted
    assert study.is_complete
    study.close()


def test_a_search_whose_end_is_a_time_has_ended_then_unless_something_is_unfinished(monkeypatch):
    study = open_sweep(INTERVALS, hours=1, sampler="random")
    study.finish_job(train(study, study.next_job()))
    assert not study.has_ended
    killed = study.next_job()
    monkeypatch.setattr(study._clock, "_start", study._clock._start - 3600)
    assert study.next_job() is None
    assert not study.has_ended  # a training runs
    study.finish_job(build_result(killed, "killed", metric=None))
    assert not study.has_ended  # it goes on from its checkpoint
    study.close()

    study = open_sweep(INTERVALS, hours=1, sampler="random")
    again = study.next_job()
    assert again.number == killed.number
    monkeypatch.setattr(study._clock, "_start", study._clock._start - 3600)
    study.finish_job(train(study, again))
    assert (study.has_ended, study.is_complete) == (True, False)
    study.close()

    study = open_sweep(INTERVALS, hours=1, sampler="random", trials=3)
    monkeypatch.setattr(study._clock, "_start", study._clock._start - 3600)
    assert study.find_used_setting()
    assert not study.has_ended  # a point is left
    study.close()


def test_a_resumed_search_plans_beside_what_it_has():
    study = open_sweep(INTERVALS, trials=3, sampler="random")
    run_sweep(study)
    study.close()
    study = open_sweep(INTERVALS, hours=1, sampler="random")
    study.finish_job(build_result(study.next_job(), seconds=1000.0))
    assert study.plan_budget(capacity=1).points == 3 + 4
    study.close()


def test_several_objectives_have_a_front_within_the_constraints():
    def run(_, job):
        size = int(job.values["finetune.imgsz"])
        score = size / 1000 - (0.1 if job.values["finetune"] == "head" else 0)
        return build_result(job, metrics={"mAP50-95": score, "milliseconds": size / 40})

    objectives = ("mAP50-95", "milliseconds")
    study = open_sweep(CHOICES, objectives=objectives, constraints=("milliseconds <= 20",))
    run_sweep(study, run)
    assert [point.feasible for point in study.points] == [True, True, False] * 2
    assert [point.values["finetune.imgsz"] for point in study.best_points] == ["320", "640"]
    assert {point.values["finetune"] for point in study.best_points} == {"full"}
    study.close()


def test_tpe_searches_within_constraints_for_two_objectives():
    study = open_sweep(
        INTERVALS, objectives=("mAP50-95", "milliseconds"), constraints=("milliseconds<80",), trials=8
    )
    assert len(run_sweep(study)) == 8
    assert study.best_points
    study.close()


@pytest.mark.slow
def test_gp_knows_pruned_points_and_constraints():
    study = open_sweep(
        INTERVALS, sampler="gp", pruner="median", pruner_startup=1, constraints=("milliseconds<80",), trials=7
    )
    assert len(run_sweep(study)) == 7
    points = study.points
    assert {point.status for point in points} == {"complete", "pruned"}
    assert len({tuple(round(float(value), 2) for value in point.values.values()) for point in points}) == 7
    study.close()


def test_a_result_without_its_metric_is_named():
    study = open_sweep(CHOICES, trials=1)
    study.finish_job(build_result(study.next_job(), metrics={"mAP50": 0.5}))
    [point] = study.points
    assert point.status == "unrated"
    assert "has no mAP50-95" in point.reason
    assert study.best_points == []
    study.close()


def test_points_of_several_tasks_have_a_best_each():
    def run(_, job):
        task = "segment" if job.values["finetune"] == "head" else "detect"
        return build_result(job, task=task)

    study = open_sweep(CHOICES, inputs=StudyInputs({}))
    run_sweep(study, run)
    assert [point.kind for point in study.best_points] == [("detect", "mAP50-95"), ("segment", "mAP50-95")]
    study.close()


def test_nothing_starts_after_the_timeout():
    study = open_sweep(CHOICES, timeout=1e-6)
    assert study.next_job() is None
    assert not study.is_complete
    study.close()


def test_hours_plan_points_and_keep_to_the_time():
    study = open_sweep(INTERVALS, hours=1, sampler="random")
    assert study.plan_budget(2) is None
    study.finish_job(build_result(study.next_job(), seconds=600.0))
    plan = study.plan_budget(2)
    assert plan.points == 12
    assert "about 12 points fit" in plan.sentence
    study.finish_job(build_result(study.next_job(), seconds=9000.0))
    assert study.next_job() is None
    study.close()
