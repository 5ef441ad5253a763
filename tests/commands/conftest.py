"""Fixtures of the commands' tests."""

import pytest


@pytest.fixture
def another_project(tmp_path_factory, monkeypatch):
    """Put the project elsewhere: `make test` draws its images in the scratch folder of this one."""
    monkeypatch.setenv("DVC_ROOT", str(tmp_path_factory.mktemp("project")))
