from __future__ import annotations

import pytest

from pipeline.sweep.study.database.address import parse_storage_address
from pipeline.sweep.study.database.connection import close_storage, open_storage
from tests.sweep.study.studies import copy_empty_database


@pytest.fixture(scope="session")
def database(tmp_path_factory):
    file = tmp_path_factory.mktemp("database") / "studies.db"
    close_storage(open_storage(parse_storage_address(f"sqlite:////{file}")))
    return file


@pytest.fixture
def project(tmp_path, monkeypatch, database):
    monkeypatch.setenv("FINETRACK_ROOT", str(tmp_path))
    copy_empty_database(database, tmp_path)
    return tmp_path
