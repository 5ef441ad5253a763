"""Epochs over TCP: reports arrive and are answered, and nothing else gets in or holds a training up."""

from __future__ import annotations

import json
import random
import socket
import threading
import time
from contextlib import closing
from queue import Queue

import pytest

from pipeline.runtime import epoch_channel
from pipeline.runtime.epoch_channel import CHANNEL_VARIABLE, EpochChannel, report_epoch
from pipeline.sweep.workers import epoch_server
from pipeline.sweep.workers.epoch_server import EpochServer

METRIC = "mAP50-95"


@pytest.fixture
def events():
    return Queue()


@pytest.fixture
def server(events):
    with closing(EpochServer(events)) as server:
        yield server


@pytest.fixture
def notices():
    return []


@pytest.fixture
def connect(server, notices):
    """Connect the trainings of jobs."""
    made = []

    def connect(number):
        made.append(EpochChannel(server.address_for(number), notices.append))
        return made[-1]

    yield connect
    for channel in made:
        channel.close()


@pytest.fixture
def answer_all(events):
    """Answer reports in a thread until None is in the queue; return the thread and what was reported."""
    threads = []

    def start(decide=lambda _event: False):
        seen = []

        def work():
            while (event := events.get()) is not None:
                seen.append(event)
                event.answer(decide(event))

        threads.append(threading.Thread(target=work))
        threads[-1].start()
        return threads[-1], seen

    yield start
    for thread in threads:
        events.put(None)
        thread.join()


def send_raw(server, contents):
    """Send bytes as a stranger; return what comes back until the server closes the connection."""
    host, port = server.address_for(0).partition("/")[0].split(":")
    with socket.create_connection((host, int(port)), timeout=20) as peer:
        peer.sendall(contents)
        received = b""
        try:
            while part := peer.recv(4096):
                received += part
        except ConnectionResetError:  # closed with bytes that were not read
            pass
        return received


def build_line(server, **changes):
    number, token = server.address_for(0).split("/")[1:]
    facts = {"number": int(number), "token": token, "epoch": 1, "epochs": 2, "metric": METRIC, "value": 0.5}
    return json.dumps(facts | changes).encode() + b"\n"


def test_reports_of_several_trainings_arrive_and_each_gets_its_answer(events, connect, answer_all):
    thread, seen = answer_all(lambda event: event.number == 7 and event.epoch == 2)
    first, second = connect(3), connect(7)
    answers = [
        channel.report(epoch, epochs, metric=METRIC, value=epoch / 10)
        for epoch in (1, 2)
        for channel, epochs in ((first, 20), (second, None))
    ]
    events.put(None)
    thread.join()
    assert answers == [False, False, False, True]
    assert [event[:5] for event in seen] == [
        (3, 1, 20, METRIC, 0.1),
        (7, 1, None, METRIC, 0.1),
        (3, 2, 20, METRIC, 0.2),
        (7, 2, None, METRIC, 0.2),
    ]


def test_outside_of_a_sweep_nothing_is_reported(monkeypatch):
    monkeypatch.delenv(CHANNEL_VARIABLE, raising=False)
    assert not report_epoch(1, 2, metric=METRIC, value=0.5)


def test_training_reports_to_the_address_of_its_environment(monkeypatch, server, answer_all):
    monkeypatch.setenv(CHANNEL_VARIABLE, server.address_for(5))
    answer_all(lambda _: True)
    assert report_epoch(1, 2, metric=METRIC, value=0.5)
    epoch_channel._open_channel(server.address_for(5)).close()


def test_answer_that_came_too_late_is_given_again_with_the_next_report(monkeypatch, events, connect, notices):
    monkeypatch.setattr(epoch_channel, "RETRY_SECONDS", 30.0)  # the machine may be slow
    channel = connect(1)
    with monkeypatch.context() as patch:
        patch.setattr(epoch_channel, "ANSWER_SECONDS", 0.1)
        assert not channel.report(1, 9, metric=METRIC, value=0.5)
    assert len(notices) == 1
    events.get(timeout=5).answer(True)
    assert channel.report(2, 9, metric=METRIC, value=0.5)  # the server decides it alone
    assert events.empty()
    assert connect(1).report(1, 9, metric=METRIC, value=0.5)  # also for the same job in another process


@pytest.mark.fault(14, "the process of the sweep hangs, vanishes or comes back while its jobs train")
def test_sweep_that_is_gone_costs_one_notice_and_no_time(monkeypatch, events, server, notices, answer_all):
    monkeypatch.setattr(epoch_channel, "ANSWER_SECONDS", 0.2)
    monkeypatch.setattr(epoch_channel, "RETRY_SECONDS", 0.05)
    thread, _ = answer_all()
    channel = EpochChannel(server.address_for(1), notices.append)
    assert not channel.report(1, 9, metric=METRIC, value=0.5)
    events.put(None)
    thread.join()  # it accepts, and does not answer
    start = time.monotonic()
    assert [channel.report(epoch, 9, metric=METRIC, value=0.5) for epoch in range(2, 9)] == [False] * 7
    server.close()
    assert [channel.report(epoch, 9, metric=METRIC, value=0.5) for epoch in range(2, 9)] == [False] * 7
    assert time.monotonic() - start < 10
    assert len(notices) == 1
    assert "the training goes on without it" in notices[0]


def test_sweep_that_closed_the_connection_is_asked_again_at_once(server, connect, notices, answer_all):
    answer_all()
    channel = connect(1)
    channel.report(1, 9, metric=METRIC, value=0.5)
    with server._lock:
        for connection in [*server._connections.values()]:
            server._drop(connection)
    answered = channel.report(2, 9, metric=METRIC, value=0.5)
    assert (answered, notices) == (False, [])


@pytest.mark.parametrize("address", ["", "here", "127.0.0.1:1", "127.0.0.1:x/1/a", "127.0.0.1:1/1/a/b"])
def test_address_that_is_none_costs_one_notice(address, notices):
    channel = EpochChannel(address, notices.append)
    assert not any(channel.report(epoch, 2, metric=METRIC, value=0.5) for epoch in (1, 2))
    assert len(notices) == 1


@pytest.mark.parametrize(
    "answer", [b"yes\n", b"prune" * 1000, b"\n", b"", b'{"path": "/etc/passwd"}\n', b"prune\nprune\n"]
)
def test_answer_that_is_not_known_does_not_end_a_training(answer, notices):
    with socket.create_server(("127.0.0.1", 0)) as stranger:

        def serve():
            peer, _ = stranger.accept()
            with peer:
                peer.recv(4096)
                peer.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        channel = EpochChannel(f"127.0.0.1:{stranger.getsockname()[1]}/1/{'a' * 32}", notices.append)
        assert not channel.report(1, 2, metric=METRIC, value=0.5)
    assert len(notices) == 1


STRANGE = [
    {"token": "0" * 32},
    {"token": ""},
    {"token": None},
    {"token": "\ud800" * 32},
    {"number": 1},
    {"number": -1},
    {"number": True},
    {"number": "0"},
    {"epoch": 0},
    {"epoch": 1.5},
    {"epoch": True},
    {"epoch": 10**400},
    {"epochs": 0},
    {"epochs": "2"},
    {"metric": "test/mAP50-95"},
    {"metric": None},
    {"value": float("nan")},
    {"value": float("inf")},
    {"value": -0.1},
    {"value": 1.01},
    {"value": "0.5"},
    {"more": 1},
]


@pytest.mark.fault(1, "a stranger, or a damaged line, at the sweep's port")
def test_lines_that_are_no_report_are_refused(events, server):
    lines = [build_line(server, **changes) for changes in STRANGE]
    lines += [
        b"[" * 900 + b"\n",
        b"{}\n",
        b"null\n",
        b"\x00\xff\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"x" * 100_000,
    ]
    lines += [build_line(server) * 2]
    whole, dice = build_line(server), random.Random(0)
    for _ in range(100):
        damaged = bytearray(whole)
        for _ in range(dice.randint(1, 4)):
            damaged[dice.randrange(len(damaged) - 1)] = dice.randrange(256)
        lines.append(bytes(damaged) + b"\n" * (damaged[-1] != 10))
    refused = [line for line in lines if epoch_server.parse_report(line, server._tokens) is None]
    assert len(refused) > len(lines) * 0.9
    assert {send_raw(server, line) for line in refused} == {b""}
    assert events.empty()
    assert server._thread.is_alive()


@pytest.mark.fault(1, "silent and slow connections fill the sweep's port")
def test_silent_strangers_do_not_keep_a_training_out(monkeypatch, server, connect, answer_all):
    monkeypatch.setattr(epoch_server, "MAX_CONNECTIONS", 8)
    answer_all()
    channel = connect(1)
    channel.report(1, 9, metric=METRIC, value=0.5)
    place = server.address_for(1).partition("/")[0].split(":")
    strangers = [socket.create_connection((place[0], int(place[1]))) for _ in range(30)]
    for stranger in strangers:
        stranger.send(b"{")
    assert not channel.report(2, 9, metric=METRIC, value=0.5)
    assert not connect(2).report(1, 9, metric=METRIC, value=0.5)
    assert len(server._connections) <= 8
    monkeypatch.setattr(epoch_server, "SILENT_SECONDS", 0.0)
    deadline = time.monotonic() + 10
    while len(server._connections) > 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(server._connections) == 2
    for stranger in strangers:
        stranger.close()


def test_line_that_arrives_in_pieces_is_a_report(server, answer_all):
    host, port = server.address_for(0).partition("/")[0].split(":")
    answer_all()
    with socket.create_connection((host, int(port)), timeout=20) as peer:
        for part in (build_line(server)[:20], build_line(server)[20:]):
            peer.sendall(part)
            time.sleep(0.05)
        assert peer.recv(100) == b"continue\n"


def test_late_answer_of_a_closed_server_is_ignored(events, server, connect, monkeypatch):
    monkeypatch.setattr(epoch_channel, "ANSWER_SECONDS", 0.1)
    connect(1).report(1, 2, metric=METRIC, value=0.5)
    server.close()
    events.get(timeout=5).answer(True)
