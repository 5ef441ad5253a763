"""Axes as Hydra spells them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.core.errors import UserError
from pipeline.sweep.settings import SweepSettings
from pipeline.sweep.space.parse_axes import check_command_words, parse_axes
from pipeline.sweep.space.search_space import SearchAxis

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def at_root(monkeypatch):
    monkeypatch.chdir(ROOT)


def parse(*overrides: str, **settings):
    return parse_axes(overrides, SweepSettings(**settings))


@pytest.mark.parametrize(
    ("text", "sampler", "axis"),
    [
        ("seed=1,2", "grid", SearchAxis("seed", ("1", "2"))),
        ("seed=choice(1,2)", "grid", SearchAxis("seed", ("1", "2"))),
        ("seed=range(1,4)", "grid", SearchAxis("seed", ("1", "2", "3"))),
        ("seed=range(3)", "grid", SearchAxis("seed", ("0", "1", "2"))),
        ("seed=range(3,0,-1)", "grid", SearchAxis("seed", ("3", "2", "1"))),
        ("seed=shuffle(range(1,4))", "grid", SearchAxis("seed", ("1", "2", "3"))),
        ("seed=shuffle(3,1,2)", "grid", SearchAxis("seed", ("3", "1", "2"))),
        ("seed=sort(3,1,2)", "grid", SearchAxis("seed", ("1", "2", "3"))),
        ("finetune.lrf=range(0.1,0.4,0.1)", "grid", SearchAxis("finetune.lrf", ("0.1", "0.2", "0.3"))),
        ("finetune=glob(*,exclude=[full,s*])", "grid", SearchAxis("finetune", ("gradual", "head"))),
        (
            "finetune.freeze=null,[1,2],backbone",
            "grid",
            SearchAxis("finetune.freeze", ("null", "[1,2]", "backbone")),
        ),
        ("+tracking.tags.a='b c',d", "grid", SearchAxis("+tracking.tags.a", ("'b c'", "d"))),
        ("finetune.lr0=interval(1e-4,1e-2)", "tpe", SearchAxis("finetune.lr0", low=1e-4, high=1e-2)),
        ("finetune.dfl=interval(1,2)", "tpe", SearchAxis("finetune.dfl", low=1.0, high=2.0)),
        (
            "finetune.lr0=tag(log,interval(1e-4,1e-2))",
            "tpe",
            SearchAxis("finetune.lr0", low=1e-4, high=1e-2, log=True),
        ),
        (
            "finetune.epochs=int(interval(1,9))",
            "tpe",
            SearchAxis("finetune.epochs", low=1, high=9, integer=True),
        ),
        (
            "finetune.batch=tag(log,int(interval(1,64)))",
            "tpe",
            SearchAxis("finetune.batch", low=1, high=64, log=True, integer=True),
        ),
    ],
)
def test_hydras_syntax_becomes_an_axis(text, sampler, axis):
    found = parse(text)
    assert found.space.axes == (axis,)
    assert (found.sampler, found.texts) == (sampler, (text,))


@pytest.mark.parametrize(
    ("text", "axis"),
    [
        ("seed=range(1,10,2)", SearchAxis("seed", low=1, high=9, step=2, integer=True)),
        ("seed=range(1,10,4)", SearchAxis("seed", low=1, high=9, step=4, integer=True)),
        ("seed=range(9,0,-4)", SearchAxis("seed", low=1, high=9, step=4, integer=True)),
        ("seed=shuffle(range(1,4))", SearchAxis("seed", low=1, high=3, step=1, integer=True)),
        ("finetune.lrf=range(0.1,0.5,0.1)", SearchAxis("finetune.lrf", low=0.1, high=0.4, step=0.1)),
        ("seed=1,2", SearchAxis("seed", ("1", "2"))),
    ],
)
def test_a_sampler_that_knows_distances_gets_a_range_with_the_values_that_a_grid_has(text, axis):
    assert parse(text, sampler="random").space.axes == (axis,)


def test_words_without_several_values_are_those_of_all_jobs():
    found = parse("seed=1,2", "finetune=head", "finetune.lr0=1e-3", "~tracking.tags")
    assert found.space.fixed == ("finetune=head", "finetune.lr0=1e-3", "~tracking.tags")


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["finetune=glob(z*)"], "fits nothing in conf/finetune"),
        (["seed=1,2,1"], "names 1 twice"),
        (["finetune=head,head"], "names head twice"),
        (["finetune.lr0=0.001,1e-3"], "names 0.001 twice"),
        (["finetune.lr0=interval(1e-2,1e-4)"], "first end below"),
        (["finetune.lr0=interval(1e-2,1e-2)"], "first end below"),
        (["finetune.dfl=tag(log,interval(0,1))"], "above 0"),
        (["seed=tag(log,range(1,4))"], "leave tag() out"),
        (["seed=tag(log,choice(1,2))"], "leave tag() out"),
        (["seed=choice(1)"], "write seed=1"),
        (["seed=range(1,2)"], "write seed=1"),
        (["seed=range(2,2)"], "has no values"),
        (["seed=range(2,1)"], "has no values"),
        (["seed=range(1,3,0)"], "seed=range(1,3,0)"),
        (["finetune.lrf=range(0.1,0.3,0.0)"], "finetune.lrf=range(0.1,0.3,0.0)"),
        (["seed=range(0,100000000)"], "more than 20,000 values"),
        (["finetune.epochs=interval(1,9)"], "finetune.epochs=int(interval(1,9))"),
        (["seed=1,2", "seed=3"], "given twice"),
        (["seed=3", "seed=interval(1,2)"], "given twice"),
        (["+sweep=learning_rate,strategies"], "a command runs one"),
        (["hydra.verbose=true,false"], "give it one"),
        (["hydra.sweeper.trials=3,4"], "sweep.trials=3,4 gives"),
        (["sweep=quick"], "write +sweep=quick"),
        (["seed=1,,2"], "the command: "),
        (["seed=interval(a,b)"], "the command: "),
    ],
)
def test_an_axis_without_a_meaning_is_refused_in_a_sentence(words, fault):
    with pytest.raises(UserError) as refused:
        parse(*words)
    assert fault in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_grid_takes_no_interval():
    with pytest.raises(UserError, match=r"finetune\.lr0=A,B,C or finetune\.lr0=range\("):
        parse("finetune.lr0=interval(1e-4,1e-2)", sampler="grid")


@pytest.mark.parametrize(
    ("word", "nearest"),
    [
        ("+foo=1,2", None),
        ("foo=1,2", None),
        ("+finetune.lr=1e-3,1e-2", "finetune.lr"),
        ("finetun.lr0=1e-3,1e-2", "finetune.lr0"),
        ("+imgsz=320,640", "imgsz"),
        ("++data.on_leek=refuse,allow", "data.on_leak"),
        ("finetun=full,head", "finetune"),
        ("+finetune.gradual.evry=1", "finetune.gradual.every"),
        ("~finetune.lr00", "finetune.lr0"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest(word, nearest):
    for check in (parse, lambda *words: check_command_words(words)):
        with pytest.raises(UserError) as refused:
            check("seed=1,2", word)
        key = word.lstrip("+~").partition("=")[0]
        assert str(refused.value).startswith(f"the command: {key} is not a known key")
        assert (nearest is None) == ("did you mean" not in str(refused.value))
        assert (nearest or "") in str(refused.value)


@pytest.mark.parametrize(
    "words", [["+tracking.tags.line=a", "seed=1,2"], ["+experiment=smoke", "seed=1,2"], ["data=demo"]]
)
def test_free_names_and_groups_are_known_keys(words):
    check_command_words(words)
    assert parse(*words)
