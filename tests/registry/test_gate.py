"""The gate: the main metric must be shown to be no worse, a class or slice must not be shown to be worse."""

from __future__ import annotations

from statistics import NormalDist

import pytest

from pipeline.comparison.comparison_result import ModelComparison, PairedDifference
from pipeline.registry.gate import (
    GateCheck,
    GateDecision,
    GateRules,
    collect_numbers,
    judge_comparison,
    judge_origin,
)
from pipeline.runtime.code_state import CodeState, build_code_tags
from pipeline.tracking.sanitize import sanitize_tags

RULES = GateRules(epsilon=0.01, class_limit=0.05, slice_limit=0.05, min_objects=30)
CLEAN = {"finetrack.git.commit": "c" * 40, "finetrack.git.dirty": "false"}


def difference(name="mAP50-95", *, change=0.0, error=0.01, objects=100, first=0.6):
    width = 1.96 * error
    p_value = 2 * NormalDist().cdf(-abs(change) / error) if error else float(change == 0)
    return PairedDifference(name, first, first + change, change - width, change + width, p_value, 50, objects)


def compare(main=None, classes=(), slices=()):
    return ModelComparison("a/1", "a/2", main or difference(), (), classes, slices, "better", "a sentence")


def find_failed(comparison, rules=RULES):
    return [check.name for check in judge_comparison(comparison, rules) if not check.passed]


@pytest.mark.parametrize(
    ("change", "error", "failed"),
    [
        (0.02, 0.01, []),  # shown to be better than -epsilon, though not better than 0
        (0.0, 0.004, []),
        (0.0, 0.01, ["main"]),  # equal, but 50 images do not show it
        (-0.02, 0.001, ["main"]),
        (float("nan"), 0.01, ["main"]),
    ],
)
def test_the_lower_bound_of_the_main_metric_must_be_above_minus_epsilon(change, error, failed):
    assert find_failed(compare(difference(change=change, error=error))) == failed


GOOD = difference(change=0.03, error=0.005)


@pytest.mark.parametrize(
    ("part", "fails"),
    [
        (difference("pit", change=-0.2, error=0.05), True),
        (difference("pit", change=-0.2, error=0.15), False),  # p is 0.18: not shown
        (difference("pit", change=-0.2, error=0.11), True),  # p is 0.07: a fall at a level of 5%
        (difference("pit", change=-0.04, error=0.001), False),  # shown, and within the limit
        (difference("pit", change=-0.2, error=0.05, objects=29), False),  # too few objects
        (difference("pit", change=-0.2, error=0.0), True),
        (difference("pit", change=float("nan")), False),
    ],
)
def test_a_class_or_slice_stops_a_model_if_a_fall_beyond_its_limit_is_shown(part, fails):
    others = tuple(difference(f"c{number}") for number in range(3))
    assert find_failed(compare(GOOD, classes=(part, *others))) == ["classes"] * fails
    assert find_failed(compare(GOOD, slices=(part, *others))) == ["slices"] * fails


def test_classes_and_slices_that_are_not_judged_are_counted_and_named():
    names = ("scratch", "pit", "crack", "burr", "hole", "dent")
    few = tuple(difference(name, objects=place + 3) for place, name in enumerate(names[1:5]))
    many = difference("scratch"), difference("dent", change=-0.2, error=0.01)
    slices = (difference("brightness=low", objects=29), difference("brightness=high"))
    _, none, sliced = judge_comparison(compare(GOOD, classes=(many[0], *few), slices=slices), RULES, names)
    assert (none.passed, sliced.passed) == (True, True)
    assert "5 classes" in none.sentence
    assert "(pit: 3, crack: 4, burr: 5 and 2 more)" in none.sentence
    assert "1 slice" in sliced.sentence
    assert "(brightness=low: 29)" in sliced.sentence
    _, fallen, _ = judge_comparison(compare(GOOD, classes=(*many, *few)), RULES, names)
    assert not fallen.passed
    assert "4 classes" in fallen.sentence
    _, all_judged, _ = judge_comparison(compare(GOOD, classes=many), RULES)
    assert "not judged" not in all_judged.sentence


def test_data_with_a_leak_and_code_without_a_commit_do_not_pass():
    def failed(**changes):
        tags = {**CLEAN, **{f"finetrack.{key.replace('_', '.')}": value for key, value in changes.items()}}
        return [check.name for check in judge_origin(tags, {}) if not check.passed]

    assert failed() == []
    assert failed(data_leak="3 images") == ["data"]
    assert failed(git_dirty="true") == ["code"]
    assert [check.name for check in judge_origin({}, {}) if not check.passed] == ["code"]


@pytest.mark.parametrize("is_changed", [True, False])
def test_the_check_of_the_code_names_files_that_git_does_not_track(is_changed):
    names = ("conf/experiment/mine.yaml", "pipeline/new file.py")
    tags = sanitize_tags(build_code_tags(CodeState("c" * 40, is_changed, names)))
    code = judge_origin(tags, {})[1]
    assert code.passed is False
    assert all(name in code.sentence for name in names)
    again = tags | sanitize_tags(build_code_tags(CodeState("c" * 40, True)))  # the same run goes on
    assert not any(name in judge_origin(again, {})[1].sentence for name in names)
    assert judge_origin(again | sanitize_tags(build_code_tags(CodeState("c" * 40, False))), {})[1].passed


def test_a_cut_list_of_untracked_files_is_no_error():
    code = judge_origin({**CLEAN, "finetrack.git.dirty": "true", "finetrack.git.untracked": '["a'}, {})[1]
    assert code.passed is False


@pytest.mark.fault(2, "the challenger was trained on images that are test images by now")
@pytest.mark.parametrize(("seen", "passed"), [(0, True), (1, False), (None, False)])
def test_a_model_that_was_trained_on_present_test_images_does_not_pass(seen, passed):
    data, code = judge_origin(CLEAN, {}, seen)
    assert (data.passed, code.passed) == (passed, True)


@pytest.mark.fault(2, "the base weights were trained on present test images")
@pytest.mark.parametrize(
    ("base", "passed", "told"),
    [
        (None, True, ""),
        ("0", True, "near copies were not looked for"),
        ("12", False, "12 test images"),
        ("12 or more", False, "12 test images"),
        ("unknown", True, "is not known"),
    ],
)
def test_test_images_that_the_base_weights_saw_count_on_own_data(base, passed, told):
    tags = CLEAN | ({"finetrack.base.seen": base} if base else {})
    data, _ = judge_origin(tags, {})
    assert (data.passed, told in data.sentence) == (passed, True)


@pytest.mark.fault(2, "nobody knows on which images the base weights were trained")
@pytest.mark.parametrize(("seen", "passed"), [(0, True), (1, False), (None, False)])
def test_an_unknown_base_is_told_of_on_other_data_too(seen, passed):
    data, _ = judge_origin(CLEAN | {"finetrack.base.seen": "unknown"}, {}, seen, is_own_data=False)
    assert data.passed is passed
    assert not passed or "is not known" in data.sentence


def test_near_copies_that_nobody_looked_for_are_not_claimed_to_be_absent():
    [looked, _], [unknown, _] = (
        judge_origin(CLEAN, {"data.near_duplicates": value}) for value in (True, False)
    )
    assert (looked.passed, unknown.passed) == (True, True)
    assert "no test image has a near copy" in looked.sentence
    assert "were not looked for" in unknown.sentence


def test_a_decision_is_forced_only_where_a_check_failed():
    good, bad = GateCheck("main", True, ""), GateCheck("code", False, "")
    assert GateDecision((good,), forced="why").outcome == "promoted"
    assert GateDecision((good, bad)).outcome == "refused"
    assert GateDecision((good, bad), forced="why").outcome == "forced"


def test_numbers_that_are_not_finite_are_recorded_as_none():
    numbers = collect_numbers(GateDecision((), compare(difference(change=float("nan")))))
    assert numbers["challenger"] is None
    assert numbers["champion"] == 0.6
