"""Filters and sort keys of `finetrack runs`."""

import pytest

from pipeline.core.errors import UserError
from pipeline.iterations.iteration import Iteration
from pipeline.iterations.select_iterations import parse_filter, select_iterations, sort_iterations


def iteration(label, status="FINISHED", **values):
    facts = {name: values.pop(name) for name in ("started", "seconds", "sweep", "dataset") if name in values}
    return Iteration(label, "run", label, run_id=label, status=status, facts=facts, **values)


ALL = [
    iteration(
        "a",
        started=3.0,
        seconds=9.0,
        sweep="lr0-1",
        params={"finetune.lr0": 0.001, "data.name": "x", "data.task": None},
        metrics={"best/mAP50-95": 0.5, "best/mask/mAP50-95": 0.1, "test/mask/mAP50-95": 0.3},
        data="abcdef",
    ),
    iteration("b", "FAILED", started=2.0, params={"finetune.lr0": 0.002, "data.name": "y"}, data="abd"),
    iteration("c", None, started=1.0, seconds=2.0, metrics={"best/top1": 0.9}, dataset="demo"),
]


def select(*words: str, state=None, data=None, sweep=None):
    wanted = parse_filter(words, states=state, data=data, sweep=sweep)
    return [item.label for item in select_iterations(ALL, wanted)]


@pytest.mark.parametrize(
    ("words", "options", "found"),
    [
        ((), {}, ["a", "b", "c"]),
        (("lr0=1e-3",), {}, ["a"]),
        (("finetune.lr0=0.002",), {}, ["b"]),
        (("lr0=0.001", "data.name=y"), {}, []),
        (("task=null",), {}, ["a"]),
        ((), {"state": "failed, dvc"}, ["b", "c"]),
        ((), {"state": "DVC"}, ["c"]),
        ((), {"data": "abc"}, ["a"]),
        ((), {"data": "ab"}, ["a", "b"]),
        ((), {"data": "demo"}, ["c"]),
        ((), {"sweep": "lr0-1"}, ["a"]),
    ],
)
def test_a_filter_lets_pass_what_fits(words, options, found):
    assert select(*words, **options) == found


@pytest.mark.parametrize(
    ("words", "state"), [(("lr0",), None), (("=1",), None), (("lr9=1",), None), ((), "good")]
)
def test_a_wrong_filter_is_refused(words, state):
    with pytest.raises(UserError):
        select(*words, state=state)


@pytest.mark.parametrize(
    ("key", "order"),
    [("started", "abc"), ("val", "cab"), ("test", "abc"), ("seconds", "cab"), ("name", "abc")],
)
def test_iterations_without_a_value_come_last(key, order):
    assert "".join(item.label for item in sort_iterations(ALL, key)) == order


def test_a_short_name_is_not_that_of_a_key_which_only_sets_another():
    runs = [
        iteration("short", params={"data.epochs": 12, "finetune.epochs": 12}),
        iteration("long", params={"data.epochs": 12, "finetune.epochs": 100}),
    ]
    for words, found in ((["epochs=12"], ["short"]), (["data.epochs=12"], ["short", "long"])):
        wanted = parse_filter(words, states=None, data=None, sweep=None)
        assert [item.label for item in select_iterations(runs, wanted)] == found


def test_a_short_name_of_several_keys_is_refused_with_their_names():
    runs = [iteration("a", params={"finetune.batch": 16}), iteration("b", params={"evaluate.batch": 16})]
    wanted = parse_filter(["batch=16"], states=None, data=None, sweep=None)
    with pytest.raises(UserError, match=r"evaluate\.batch, finetune\.batch"):
        select_iterations(runs, wanted)


def test_an_unknown_sort_key_is_refused():
    with pytest.raises(UserError):
        sort_iterations(ALL, "lr0")
