"""Options of Hydra are told from overrides wherever they stand."""

from __future__ import annotations

import pytest

from pipeline.compose.hydra_code import require_own_code
from pipeline.compose.hydra_options import HydraWords, separate_hydra_options


@pytest.mark.parametrize(
    ("words", "options"),
    [
        (["--cfg", "job", "seed=1", "a=2"], ["--cfg", "job"]),
        (["seed=1", "--cfg", "job", "a=2"], ["--cfg", "job"]),
        (["seed=1", "a=2", "--cfg=job"], ["--cfg=job"]),
        (["-c", "job", "seed=1", "--resolve", "a=2"], ["-c", "job", "--resolve"]),
        (["seed=1", "--package", "seed=1", "--cfg", "all", "a=2"], ["--package", "--cfg", "all"]),
        (["seed=1", "--info", "plugins", "a=2"], ["--info", "plugins"]),
        (["seed=1", "--hydra-help", "a=2"], ["--hydra-help"]),
    ],
)
def test_options_may_stand_anywhere(words, options):
    found = separate_hydra_options(words)
    assert found.overrides == ["seed=1", "a=2"]
    assert [word for word in found.options if word != "seed=1"] == options
    assert found.prints_only
    assert sorted([*found.overrides, *found.options]) == sorted(words)


def test_words_without_options_are_overrides_for_a_multirun():
    words = ["+sweep=quick", "~tracking.tags.line", "seed=1,2", "augment=glob(*)"]
    assert separate_hydra_options(words) == HydraWords(words, [], prints_only=False)


def test_other_options_print_nothing():
    assert separate_hydra_options(["a=1", "--config-dir", "x"]) == HydraWords(
        ["a=1"], ["--config-dir", "x"], prints_only=False
    )


@pytest.mark.parametrize("words", [["--cfg", "jobs"], ["seed=1", "--cfg"], ["--wrong", "seed=1"]])
def test_wrong_options_end_with_a_usage_error(words, capsys):
    with pytest.raises(SystemExit) as stop:
        separate_hydra_options(words)
    assert stop.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_code_is_looked_for_whatever_the_order():
    require_own_code(["finetune.lr0=1e-3,1e-4", "--cfg", "job", "seed=1"])
