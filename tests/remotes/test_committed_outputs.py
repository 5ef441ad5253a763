"""Which outputs commits name is read from git: those of dvc.lock, and of .dvc files."""

from __future__ import annotations

import yaml

from pipeline.storage.dvc_remotes.committed_outputs import list_committed_outputs


def list_outputs(team) -> tuple[dict[str, str], tuple[str, ...]]:
    """Commit, and return the outputs of the commit by their path, with what was left out."""
    team.git("add", "-A")
    team.git("commit", "-qm", "changed", "--allow-empty")
    found = list_committed_outputs(team.folder, {team.git("rev-parse", "HEAD"): "brave"})
    return {each.path: each.oid for each in found.objects}, found.skipped


def write_stages(team, outs: list[object], locked: list[dict[str, object]], **stage: object) -> None:
    """Write a stage with outputs into dvc.yaml, and what was recorded of them into dvc.lock."""
    (team.folder / "dvc.yaml").write_text(
        yaml.safe_dump({"stages": {"work": {"cmd": "run", "outs": outs, **stage}}})
    )
    lock = {"schema": "2.0", "stages": {"work": {"cmd": "run", "outs": locked}}}
    (team.folder / "dvc.lock").write_text(yaml.safe_dump(lock))


def locked(path: str, oid: str, **keys: object) -> dict[str, object]:
    """Return an output as dvc.lock has it."""
    return {"path": path, "hash": "md5", "md5": oid, **keys}


def test_what_git_has_and_what_is_not_to_be_pushed_are_left_out(team):
    outs = ["a", {"b": {"cache": False}}, {"c": {"push": False}}, {"d": {"persist": True}}]
    write_stages(team, outs, [locked(name, name * 32) for name in "abcd"])
    assert list_outputs(team) == ({"a": "a" * 32, "d": "d" * 32}, ())


def test_metrics_that_git_has_are_left_out(team):
    write_stages(team, [], [locked("m.json", "1" * 32)], metrics=[{"m.json": {"cache": False}}])
    assert list_outputs(team) == ({}, ())


def test_a_stage_in_a_folder_has_its_outputs_there(team):
    write_stages(team, ["a"], [locked("a", "1" * 32)], wdir="part")
    assert list_outputs(team) == ({"part/a": "1" * 32}, ())


def test_files_that_were_added_by_hand_count(team):
    (team.folder / "raw").mkdir()
    entry = {"outs": [locked("images", "2" * 32 + ".dir"), locked("own", "3" * 32, cache=False)]}
    (team.folder / "raw/images.dvc").write_text(yaml.safe_dump(entry))
    found, _ = list_outputs(team)
    assert found["raw/images"] == "2" * 32 + ".dir"
    assert "raw/own" not in found


def test_the_name_of_an_added_file_need_not_be_ascii(team):
    (team.folder / "größe.dvc").write_text(yaml.safe_dump({"outs": [locked("größe", "2" * 32)]}))
    assert list_outputs(team)[0]["größe"] == "2" * 32


def test_outputs_of_dvc_2_have_another_hash_and_are_left_out(team):
    write_stages(team, ["a"], [{"path": "a", "md5": "1" * 32}])
    assert list_outputs(team) == ({}, ())


def test_a_lock_that_cannot_be_read_is_told(team):
    (team.folder / "dvc.lock").write_text("stages: [")
    found, skipped = list_outputs(team)
    assert found == {}
    assert skipped == ("the dvc.lock of experiment brave cannot be read: its data is left out",)


def test_a_commit_without_dvc_has_no_outputs(team):
    for name in ("dvc.lock", "dvc.yaml"):
        (team.folder / name).unlink()
    assert list_outputs(team) == ({}, ())
