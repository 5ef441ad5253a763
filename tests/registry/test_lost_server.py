"""A tracking server that is lost in the middle of a promotion: the champion is the old or the new one.

Tags and descriptions agree with it. The next command mends what is missing.
"""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing

import pytest

from pipeline.config.groups.tracking import TrackingConfig
from pipeline.core.errors import UserError
from pipeline.registry.promote import promote_model
from pipeline.tracking.store.client import MlflowClientCache
from pipeline.tracking.target import TrackingTarget
from tests.registry.conftest import TRACKING, build_config, read_aliases
from tests.tracking.servers import FaultyProxy, MlflowServer

MOST_WRITES = 60


class LostServer(FaultyProxy):
    """Passes requests on until so many writes, and answers nothing from then on.

    Args:
        server: The server behind it.
        writes: The number of the write at which the server is lost.
        passes: Whether that write still reaches the server, so that only its answer is lost.
    """

    def __init__(self, server, writes: int, *, passes: bool) -> None:
        super().__init__(server)
        self.writes, self.passes, self.is_lost = writes, passes, False
        self.listener.handle_error = lambda *_: None

    def ask(self, request, body):
        """Pass a request on, or close its connection."""
        reads = request.command == "GET" or "search" in request.path
        self.writes -= not reads
        if self.is_lost or (self.writes < 0 and not self.passes):
            self.is_lost = True
            raise ConnectionError
        answer = super().ask(request, body)
        if self.writes < 0:
            self.is_lost = True
            raise ConnectionError
        return answer


def use_address(config, uri):
    """Return a configuration whose runs and models are at another address."""
    tracking = TrackingConfig(**TRACKING | {"uri": uri}, run_name=None, tags={}, system_metrics=False)
    return config.model_copy(update={"tracking": tracking})


def get_champion(client):
    return read_aliases(client).get("champion")


def check_records(client, champion, replaced):
    """Check that tags and description of both versions say who is the champion."""
    own, other = (client.get_model_version("parts", version) for version in (champion, replaced))
    assert own.tags["finetrack.gate"] in {"promoted", "forced"}
    assert own.tags["finetrack.gate.against"] == replaced
    assert other.tags["finetrack.gate.last"] == "replaced"
    assert f"parts/{champion} was promoted over parts/{replaced}" in other.description


@pytest.fixture
def served(runs, tmp_path, monkeypatch):  # noqa: ARG001 - the project's folder
    """The runs behind a real server; the first one is the champion."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    (tmp_path / "server").mkdir()
    shutil.copy("mlflow.db", tmp_path / "server/server.db")
    server = MlflowServer(tmp_path / "server")
    server.start()
    yield server
    server.kill()


def try_to_promote(run, uri) -> str:
    """Promote; return the error, or an empty text."""
    try:
        promote_model(run, use_address(build_config(), uri))
    except UserError as error:
        return str(error)
    return ""


def lose_and_mend(server, runs, *, writes: int, passes: bool) -> bool:
    """Promote through a server that is lost, check, and promote again; return whether it was lost."""
    client = MlflowClientCache(TrackingTarget(server.uri, "trial", 20.0)).client
    proxy = LostServer(server, writes, passes=passes)
    error = try_to_promote(runs["better"], proxy.uri)
    proxy.close()
    assert bool(error) == proxy.is_lost
    assert not error or "cannot be used" in error or "answers" in error
    assert get_champion(client) in {"1", "2"}
    assert try_to_promote(runs["better"], server.uri) in {"", "parts/2 is the champion already"}
    assert get_champion(client) == "2"
    check_records(client, "2", "1")
    return proxy.is_lost


@pytest.mark.slow
@pytest.mark.parametrize("passes", [True, False], ids=["answer lost", "request lost"])
@pytest.mark.fault(13, "the server is lost at any write of a promotion")
def test_a_server_lost_in_a_promotion_leaves_the_old_or_the_new_champion(
    served, runs, passes, record_property
):
    promote_model(runs["first"], use_address(build_config(), served.uri))
    before = served.folder / "before.db"
    copy_database(served.folder / "server.db", before)
    writes = 0
    while writes < MOST_WRITES and lose_and_mend(served, runs, writes=writes, passes=passes):
        copy_database(before, served.folder / "server.db")
        writes += 1
    record_property("tries", writes)
    assert 5 < writes < MOST_WRITES


def copy_database(source, target):
    """Copy a database that a server has open."""
    with closing(sqlite3.connect(source)) as found, closing(sqlite3.connect(target)) as made:
        found.backup(made)


@pytest.mark.slow
@pytest.mark.fault(13, "SIGKILL of the server in a promotion")
def test_a_server_that_is_killed_in_a_promotion_is_mended_after_its_restart(served, runs):
    promote_model(runs["first"], use_address(build_config(), served.uri))

    class Killing(LostServer):
        def ask(self, request, body):
            answer = super().ask(request, body)
            if "log-parameter" in request.path:  # the claim
                served.kill()
            return answer

    proxy = Killing(served, MOST_WRITES, passes=True)
    with pytest.raises(UserError, match="cannot be used"):
        promote_model(runs["better"], use_address(build_config(), proxy.uri))
    proxy.close()
    served.start()
    client = MlflowClientCache(TrackingTarget(served.uri, "trial", 20.0)).client
    assert get_champion(client) == "1"
    with pytest.raises(UserError, match="parts/2 is the champion already"):
        promote_model(runs["better"], use_address(build_config(), served.uri))
    assert get_champion(client) == "2"
    check_records(client, "2", "1")
