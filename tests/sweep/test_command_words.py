"""`python -m pipeline.sweep` as typed: options among overrides, the home folder, the examples of the help."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipeline.sweep.command_help import render_help
from pipeline.sweep.space.parse_axes import check_command_words
from pipeline.sweep.space.sweep_words import translate_sweep_words

ROOT = Path(__file__).parents[2]
EXAMPLES = [
    line.strip() for line in render_help(ROOT / "conf").splitlines() if line.startswith("  finetrack sweep ")
]


def run_sweep(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pipeline.sweep", *words]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, env=os.environ | variables
    )


@pytest.mark.parametrize(
    "words",
    [
        ["--cfg", "job", "seed=7", "data=auto", "data.source=~/a b"],
        ["seed=7", "--cfg", "job", "data=auto", "data.source=~/a b", "sweep.trials=3"],
        ["-m", "seed=7", "data=auto", "data.source='/home/me/a b'", "--cfg=job"],
    ],
)
def test_the_configuration_is_printed_wherever_the_option_stands(words):
    done = run_sweep(*words, HOME="/home/me")
    assert done.returncode == 0, done.stderr
    values = yaml.safe_load(done.stdout)
    assert (values["seed"], values["data"]["source"]) == (7, "/home/me/a b")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["seed=1,2", "--config-dir", "x"], "--config-dir"),
        (["--resolve", "seed=1,2"], "--resolve"),
    ],
)
def test_an_option_that_a_sweep_does_not_have_is_named_in_one_sentence(words, named):
    done = run_sweep(*words)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert named in done.stderr


def test_the_help_has_examples():
    assert len(EXAMPLES) >= 4


@pytest.mark.parametrize("example", EXAMPLES)
def test_hydra_reads_each_example_of_the_help_as_a_shell_passes_it(example, monkeypatch):
    monkeypatch.chdir(ROOT)
    check_command_words(translate_sweep_words(shlex.split(example)[2:]))
