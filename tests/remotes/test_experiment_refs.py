"""Experiments travel by git, and nothing else does."""

from __future__ import annotations

import pytest

from pipeline.core.errors import UserError
from pipeline.remotes.experiment_refs import fetch_experiments, list_experiment_refs, push_experiments


def push_all(team):
    return push_experiments(team.folder, "origin", list_experiment_refs(team.folder))


def test_only_experiments_are_pushed(team):
    team.add_experiment("brave", b"1")
    head = team.git("rev-parse", "HEAD")
    for name in ("stash", "exec/EXEC_HEAD", f"exec/{head[:2]}/name"):
        team.git("update-ref", f"refs/exps/{name}", head)
    team.git("update-ref", "refs/finetrack/sweeps/own", head)
    assert [each.name for each in list_experiment_refs(team.folder)] == ["brave"]
    done = push_all(team)
    assert [each.name for each in done.copied] == ["brave"]
    theirs = team.git("ls-remote", "origin").splitlines()
    assert [line.split("\t")[1] for line in theirs if "refs/heads" not in line and "HEAD" not in line] == [
        done.copied[0].ref
    ]


def test_what_is_there_is_not_copied_again(team):
    team.add_experiment("brave", b"1")
    push_all(team)
    assert push_all(team).copied == ()
    colleague = team.clone()
    assert len(fetch_experiments(colleague.folder, "origin").copied) == 1
    assert len(fetch_experiments(colleague.folder, "origin").kept) == 1


def test_a_git_remote_that_is_away_is_named_without_its_password(team):
    team.git("remote", "set-url", "origin", "http://user:hunter2@127.0.0.1:9/absent.git")
    with pytest.raises(UserError, match=r"git's remote origin \(http://127.0.0.1:9/absent.git\)") as error:
        push_all(team)
    assert "hunter2" not in str(error.value)
