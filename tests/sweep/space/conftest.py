"""Compositions of this project's conf/ that tests share: Hydra takes a tenth of a second for each."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from pipeline.compose.stage import compose_nodes
from pipeline.sweep.space import job_configs

ROOT = Path(__file__).parents[3]

_compose_once = cache(compose_nodes)


@pytest.fixture
def shared_conf(monkeypatch):
    """Work in this project, whose choices of files Hydra composes once for all tests of a process."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(job_configs, "compose_nodes", _compose_once)
