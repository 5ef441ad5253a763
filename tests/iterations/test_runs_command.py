"""The command `finetrack runs`, on a project that has iterations of every kind."""

import json
import shutil
from pathlib import Path

import pytest

from pipeline.__main__ import main

CONF = Path(__file__).parents[2] / "conf"


@pytest.fixture
def project(iterations, monkeypatch):
    """The project with conf/, whose settings name its database."""
    if not Path("conf").exists():
        shutil.copytree(CONF, "conf")
        for file, old, new in (
            ("tracking/local.yaml", "experiment: finetrack", "experiment: trial"),
            ("registry/default.yaml", "name: finetrack", "name: demo"),
        ):
            path = Path("conf", file)
            path.write_text(path.read_text().replace(old, new))
    Path("params.yaml").rename("params.kept")
    monkeypatch.setenv("COLUMNS", "160")
    yield iterations
    Path("params.kept").rename("params.yaml")


@pytest.mark.usefixtures("project")
def test_the_newest_are_shown_as_a_table_within_80_columns(capsys):
    assert main(["runs"]) == 0
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    for text in ("tame-puma", "DVC only", "champion", "failed", "lr0=0.002", "0.600 (0.55-0.65)"):
        assert text in " ".join(shown.split())


def test_words_may_stand_before_and_after_options(project, capsys):
    assert main(["runs", "lr0=0.002", "--json", "--sort", "test", "epochs=2"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [item["run_id"] for item in found] == [project.second, project.child]
    assert found[0]["differs"] == ["iou=0.7"]


@pytest.mark.usefixtures("project")
def test_a_limit_is_told_and_the_wide_table_has_ids(capsys):
    assert main(["runs", "--limit", "2", "--wide"]) == 0
    shown = capsys.readouterr().out
    assert "2 of 7 are shown" in shown
    assert " id " in shown.splitlines()[0]


@pytest.mark.usefixtures("project")
def test_nothing_that_passes_is_no_error(capsys):
    assert main(["runs", "--sweep", "none"]) == 0
    assert "no iteration passes" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["--sort", "size"], ["--limit", "-1"], ["--state", "good"], ["lr0"]])
@pytest.mark.usefixtures("project")
def test_wrong_words_are_refused_in_one_line(words, capsys):
    assert main(["runs", *words]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.fault(6, "the tracking server is away when the iterations are listed")
@pytest.mark.usefixtures("project")
def test_with_a_server_that_is_away_dvc_is_listed(capsys):
    path = Path("conf/tracking/local.yaml")
    kept = path.read_text()
    path.write_text(kept.replace("sqlite:///mlflow.db", "http://127.0.0.1:9"))
    try:
        assert main(["runs"]) == 0
    finally:
        path.write_text(kept)
    shown = capsys.readouterr()
    assert "tame-puma" in shown.out
    assert "these are the iterations in DVC" in shown.err
