"""tracking.uri of a restored folder: the project's store."""

import pytest
import yaml

from pipeline.config.tracking_uri import sqlite_file
from pipeline.restore.tracking_address import find_address_for, set_tracking_address
from pipeline.tracking.target import TrackingTarget

PARAMS = b"""data:
  uri: mine  # a key of the same name
tracking:
  tags: {}
  uri: sqlite:///mlflow.db
  experiment: finetrack
seed: 1.0e-05
"""


def test_other_bytes_of_the_file_stay():
    changed = set_tracking_address(PARAMS, "sqlite:////tmp/it's 100% \u00fc/mlflow.db")
    assert yaml.safe_load(changed)["tracking"]["uri"] == "sqlite:////tmp/it's 100% \u00fc/mlflow.db"
    assert changed.splitlines()[:4] == PARAMS.splitlines()[:4]
    assert changed.splitlines()[5:] == PARAMS.splitlines()[5:]


@pytest.mark.parametrize("params", [b"", b"tracking: null\n", b"tracking:\n  tags: {}\n", PARAMS])
def test_what_has_no_address_or_the_same_one_stays(params):
    assert set_tracking_address(params, "sqlite:///mlflow.db") == params


def test_the_address_names_the_projects_database_from_another_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "project"))
    uri = find_address_for(TrackingTarget("sqlite:///mlflow.db", "trial"), tmp_path / "other")
    assert sqlite_file(uri) == str(tmp_path / "project/mlflow.db")


@pytest.mark.fault(3, "a path that an address cannot hold")
def test_a_relative_address_or_none_stands_for_a_path_with_special_characters(tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "a?b/project"))
    target = TrackingTarget("sqlite:///mlflow.db", "trial")
    assert find_address_for(target, tmp_path / "a?b/other") == "sqlite:///../project/mlflow.db"
    assert find_address_for(target, tmp_path / "other") is None


def test_a_server_is_the_same_from_everywhere(tmp_path):
    uri = "https://mlflow.example.org"
    assert find_address_for(TrackingTarget(uri, "trial"), tmp_path) == uri
