"""`python -m pipeline` and `finetrack`: help, wrong arguments, exit codes, shell completion."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from pipeline.__main__ import main
from pipeline.commands.command_line.parser import COMMANDS, build_parser
from pipeline.core.stages import STAGES
from pipeline.core.version import VERSION

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / "pipeline/commands/finetrack.sh"


def run_python(*words: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *words]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], []])
def test_help_lists_every_command_and_exits_with_0(arguments, capsys):
    assert main(arguments) == 0
    text = capsys.readouterr().out
    assert [name for name in COMMANDS if f"\n    {name}" not in text] == []


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - {"sweep"}))
def test_help_of_a_command_names_its_arguments_and_an_example(name, capsys):
    assert main([name, "--help"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: finetrack {name} ")
    assert f"\n  {COMMANDS[name].example.splitlines()[0]}\n" in text
    for flag, keywords in COMMANDS[name].arguments:
        assert str(keywords.get("metavar", flag)).upper() in text.upper()


def test_help_fits_a_terminal_of_100_columns(capsys):
    for name in set(COMMANDS) - {"sweep"}:
        main([name, "--help"])
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 110


def test_an_unknown_option_of_a_learning_curve_is_refused(capsys):
    assert main(["learning-curve", "data.fraction=0.5,1", "--wrong"]) == 2
    assert "unrecognized arguments: --wrong" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["pipeline.sweep", "--help"], ["pipeline", "sweep", "--help"]])
def test_help_of_a_sweep_explains_its_arguments(words):
    done = run_python(*words)
    assert done.returncode == 0
    assert "finetrack sweep finetune.lr0=3e-4,1e-3 augment=none,light" in done.stdout
    assert "quick, scratch, strategies, thorough" in " ".join(done.stdout.split())
    assert "sweep.pruner" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 110


@pytest.mark.parametrize(
    ("typed", "meant"), [("inspct", "inspect"), ("evalute", "evaluate"), ("data_diff", "data-diff")]
)
def test_a_mistyped_command_suggests_the_nearest(typed, meant, capsys):
    assert main([typed]) == 2
    said = capsys.readouterr().err
    assert f"did you mean {meant}" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["inspect"],
        ["data-diff", "first"],
        ["data-diff", "first", "second", "--jsn"],
        ["preview", "--augment"],
        ["prepare", "now"],
        ["--jsn"],
        ["completion", "fish"],
    ],
)
def test_wrong_arguments_are_one_sentence_and_exit_with_2(arguments, capsys):
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.rstrip().endswith("--help")


@pytest.mark.parametrize("words", [["pipeline", "--version"], ["pipeline.sweep", "--version"]])
def test_version_names_this_project_and_the_packages_that_compute(words):
    done = run_python(*words)
    assert done.returncode == 0
    assert done.stdout.startswith(f"finetrack {VERSION} (ultralytics 8.")
    assert "torch 2." in done.stdout


def test_the_version_is_that_of_pyproject():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == VERSION


def test_every_stage_of_dvc_yaml_is_a_command():
    assert set(STAGES) | {"compose"} <= set(COMMANDS)


def test_completion_of_bash_knows_commands_and_flags(capsys):
    assert main(["completion", "bash"]) == 0
    script = capsys.readouterr().out
    ask = 'COMP_WORDS=(finetrack ins); COMP_CWORD=1; _shtab_finetrack; echo "${COMPREPLY[@]}"'
    done = subprocess.run(
        ["bash", "-c", f"{script}\n{ask}"], capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stdout.strip() == "inspect"
    assert "--format" in script


def test_completion_of_zsh_is_a_script_for_finetrack(capsys):
    assert main(["completion", "zsh"]) == 0
    script = capsys.readouterr().out
    assert script.startswith("#compdef finetrack")
    assert all(f"{name}:" in script for name in COMMANDS)


@pytest.fixture
def clone(tmp_path) -> Path:
    """A project with a `finetrack` of its own, whose Python is this one."""
    folder = tmp_path / "clone"
    shutil.copytree(ROOT / "pipeline", folder / "pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "conf", folder / "conf")
    (folder / "dvc.yaml").touch()
    (folder / "data").mkdir()
    binary = folder / ".venv/bin"
    binary.mkdir(parents=True)
    shutil.copy(SCRIPT, binary / "finetrack")
    (binary / "finetrack").chmod(0o755)
    (binary / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (binary / "python").chmod(0o755)
    init = folder / "pipeline/core/version.py"
    init.write_text(init.read_text().replace(VERSION, "9.9.9"))
    return folder


def run_script(script: Path, *words: str, cwd: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [script, *words], cwd=cwd, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_the_script_runs_the_code_of_the_project_around_the_current_folder(clone, tmp_path):
    script = clone / ".venv/bin/finetrack"
    assert run_script(script, "--version", cwd=clone / "data").startswith("finetrack 9.9.9 ")
    assert run_script(script, "--version", cwd=ROOT / "tests").startswith(f"finetrack {VERSION} ")
    link = tmp_path / "finetrack"
    link.symlink_to(script)
    assert run_script(link, "--version", cwd=Path("/")).startswith("finetrack 9.9.9 ")


def test_a_relative_path_is_relative_to_where_it_is_typed(clone):
    done = subprocess.run(
        [clone / ".venv/bin/finetrack", "inspect", "nothing-here"],
        cwd=clone / "data",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert f"{clone}/data/nothing-here" in done.stderr


def test_the_parser_is_built_from_the_standard_library_alone():
    code = (
        "import sys; before = set(sys.modules); "
        "from pipeline.commands.command_line.parser import build_parser; build_parser(); "
        "names = {name.split('.')[0] for name in set(sys.modules) - before}; "
        "print(sorted(names - set(sys.stdlib_module_names) - {'pipeline'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert build_parser().prog == "finetrack"
