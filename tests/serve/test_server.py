"""A real server process: many clients at once, bad ones among them, a browser, and a stop in the middle."""

from __future__ import annotations

import base64
import contextlib
import json
import random
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from pipeline.core.detections import Detections
from pipeline.serve.http_protocol import LINGER_BYTES
from pipeline.yolo.inference.loaded_model import LoadedModel
from tests.browser import needs_chromium, open_browser
from tests.builders import draw_objects
from tests.serve.servers import SETTINGS, ask, running_server
from tests.trainings import FOUNDATION

SHOWN = "!byId('result').hidden"
SHAPES = ((64, 64), (64, 48), (40, 64))


def draw(number):
    """Draw an image of one of three shapes."""
    rng = np.random.default_rng(number)
    image, _ = draw_objects(rng.integers(0, 3, 3), pixels=64, rng=rng)
    height, width = SHAPES[number % 3]
    return cv2.imencode(".png", image[:height, :width])[1].tobytes()


IMAGES = [draw(number) for number in range(24)]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running_server(tmp_path_factory.mktemp("serve"), "--max-mb=1", "--max-images=8") as server:
        yield server


@pytest.fixture(scope="module")
def expected():
    """What one process finds in one image after the other."""
    with LoadedModel(FOUNDATION, settings=SETTINGS) as model:
        found = [model.predict([cv2.imdecode(np.frombuffer(data, np.uint8), 1)])[0] for data in IMAGES]
    assert sum(len(each.scores) for each in found) > 40
    return found


def check(prediction, expected: Detections):
    """Compare an answer with a prediction; batches differ in the last bits."""
    objects = prediction["objects"]
    assert [found["class"] for found in objects] == expected.classes.tolist()
    np.testing.assert_allclose([found["score"] for found in objects], expected.scores, atol=2e-5)
    boxes = np.array([found["box"] for found in objects]).reshape(-1, 4)
    np.testing.assert_allclose(boxes, expected.boxes, atol=0.02)


def send(connection, numbers, how):
    """Send images as a client does: one file, a form, or JSON."""
    chosen = [IMAGES[number] for number in numbers]
    if how == "file" and len(chosen) == 1:
        return ask(connection, "/predict", chosen[0], content_type="image/png")
    if how == "form":
        parts = b"".join(
            b'--x\r\nContent-Disposition: form-data; name="images"; filename="a"\r\n\r\n' + data + b"\r\n"
            for data in chosen
        )
        return ask(
            connection, "/predict", parts + b"--x--\r\n", content_type="multipart/form-data; boundary=x"
        )
    body = json.dumps({"images": [base64.b64encode(data).decode() for data in chosen]}).encode()
    return ask(connection, "/predict", body, content_type="application/json")


def misbehave(server, connection, rng):
    """Send what is no request, is cut off, or is slow; return whether the connection can be used further."""
    kind = rng.choice(["damaged", "gone", "gone early", "garbage", "text"])
    if kind == "damaged":
        assert ask(connection, "/predict", IMAGES[0][:60], content_type="image/png").status == 400
    elif kind == "text":
        assert ask(connection, "/predict", b"{", content_type="application/json").status == 400
    else:
        with socket.create_connection(("127.0.0.1", server.port)) as wild:
            head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
            length = b"Content-Length: %d\r\n\r\n" % len(IMAGES[0])
            sent = {
                "gone": head + length + IMAGES[0],
                "gone early": head + length + IMAGES[0][:50],
                "garbage": bytes(rng.randrange(256) for _ in range(200)),
            }[kind]
            wild.sendall(sent)


def run_clients(server, expected, *, requests, clients=16):
    """Let clients send requests at once, one in ten of them a bad one; check every answer."""
    counter, lock = iter(range(requests)), threading.Lock()

    def work(seed):
        rng, connection, answered = random.Random(seed), server.connect(), 0
        while True:
            with lock:
                number = next(counter, None)
            if number is None:
                connection.close()
                return answered
            if number % 10 == 9:
                misbehave(server, connection, rng)
                continue
            numbers = [rng.randrange(len(IMAGES)) for _ in range(rng.choice([1, 1, 1, 3]))]
            answer = send(connection, numbers, rng.choice(["file", "form", "json"]))
            assert answer.status == 200, answer.body
            assert answer.json["model"]["reference"] == FOUNDATION.name
            for prediction, which in zip(answer.json["predictions"], numbers, strict=True):
                assert (prediction["height"], prediction["width"]) == SHAPES[which % 3]
                check(prediction, expected[which])
            answered += 1

    with ThreadPoolExecutor(clients) as pool:
        return sum(pool.map(work, range(clients)))


def test_answers_to_many_clients_at_once_are_those_of_one_process(server, expected):
    assert run_clients(server, expected, requests=300) == 270
    deadline = time.monotonic() + 10  # requests of clients that left may still be in the queue
    while server.read_metric("finetrack_waiting_requests") and time.monotonic() < deadline:
        time.sleep(0.1)
    assert server.read_metric("finetrack_waiting_requests") == 0
    assert server.read_metric("finetrack_images_total") >= 270


@pytest.mark.slow
@pytest.mark.fault(13, "2,000 requests to the server, one in ten malformed, cut off or without an end")
def test_after_2000_requests_answers_are_right_and_the_memory_is_flat(server, expected):
    run_clients(server, expected, requests=400)
    before = server.read_metric("process_resident_memory_bytes")
    assert run_clients(server, expected, requests=2000) == 1800
    assert server.read_metric("process_resident_memory_bytes") < before + 40e6


def test_every_answer_says_which_model(server):
    for answer in (server.ask("/health"), server.ask("/nothing"), server.ask("/predict", b"x")):
        assert len(answer.json["model"]["sha256"]) == 64
        assert answer.headers["x-model-sha256"] == answer.json["model"]["sha256"]


@pytest.mark.parametrize(
    ("path", "body", "headers", "status"),
    [
        ("/predict", IMAGES[0], {"content_type": "text/plain"}, 415),
        ("/predict", IMAGES[0], {"content_type": "image/png", "content_length": "-1"}, 400),
        ("/predict?conf=0.01", IMAGES[0], {"content_type": "image/png"}, 422),
        ("/predict?top=3", IMAGES[0], {"content_type": "image/png"}, 422),
        ("/predict?conf=0.5&conf=0.6", IMAGES[0], {"content_type": "image/png"}, 422),
        ("/predict?file=/etc/passwd", IMAGES[0], {"content_type": "image/png"}, 422),
        ("/predict", b'{"images": ["/etc/passwd"]}', {"content_type": "application/json"}, 400),
        ("/predict", b'{"images": []}', {"content_type": "application/json"}, 422),
        ("/predict", bytes(3 << 19), {"content_type": "image/png"}, 413),
        ("/predict", None, {}, 405),
        ("/docs", None, {}, 404),
        ("/health", None, {"host": "attacker.example"}, 421),
        ("/predict", IMAGES[0], {"origin": "http://attacker.example", "content_type": "image/png"}, 403),
    ],
)
def test_a_bad_request_is_refused_with_a_reason(server, path, body, headers, status):
    answer = server.ask(path, body, **headers)
    assert answer.status == status
    assert b"Traceback" not in answer.body
    assert "access-control-allow-origin" not in answer.headers
    if status != 400 or (path == "/predict" and body == b'{"images": ["/etc/passwd"]}'):
        assert answer.json["error"]


def choose_threshold(expected):
    """Choose one between the scores of the first image."""
    scores = expected[0].scores
    least = round((scores[0] + scores[-1]) / 2, 2)
    assert scores[0] > least > scores[-1]
    return least


def test_a_higher_threshold_leaves_the_weaker_objects_out(server, expected):
    least = choose_threshold(expected)
    answer = server.ask(f"/predict?conf={least}", IMAGES[0], content_type="image/png").json
    scores = [found["score"] for found in answer["predictions"][0]["objects"]]
    assert scores == [pytest.approx(score, abs=2e-5) for score in expected[0].scores if score >= least]


@pytest.mark.fault(13, "an upload to the server that is too large")
def test_a_large_body_is_refused_before_it_is_sent(server):
    with socket.create_connection(("127.0.0.1", server.port), 10) as client:
        client.sendall(b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999999\r\n")
        client.sendall(b"Expect: 100-continue\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 413")


def upload_without_end(server) -> tuple[bytes, int]:
    """Send a body of any length; return the answer, and the bytes that were sent before it was closed."""
    sent, part = 0, b"10000\r\n" + bytes(1 << 16) + b"\r\n"
    with socket.create_connection(("127.0.0.1", server.port), 30) as client:
        client.sendall(b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n")
        client.sendall(b"Transfer-Encoding: chunked\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            while sent < 2 * LINGER_BYTES:
                client.sendall(part)
                sent += 1 << 16
        with contextlib.suppress(ConnectionError):
            return client.recv(200), sent
    return b"", sent


@pytest.mark.fault(13, "an upload to the server that is too large")
def test_an_upload_without_end_is_cut_off_and_takes_no_memory(server):
    before = server.read_metric("process_resident_memory_bytes")
    for _ in range(2):
        answer, sent = upload_without_end(server)
        assert answer[:12] in {b"", b"HTTP/1.1 413"}
        assert sent < LINGER_BYTES + (20 << 20)  # the limit is 1 MiB; the rest is in buffers
    assert server.read_metric("process_resident_memory_bytes") < before + 20e6
    assert server.ask("/predict", IMAGES[0], content_type="image/png").status == 200


@pytest.mark.slow
@pytest.mark.fault(13, "clients of the server that send slowly or nothing")
def test_slow_clients_do_not_keep_others_waiting(server):
    """Some send a header now and then, some a byte of a body, some nothing: all are cut off in the end."""
    starts = (
        b"",
        b"GET / HTTP/1.1\r\nX-Slow: ",
        b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999\r\n\r\n",
    )
    with contextlib.ExitStack() as closing:
        slow = [
            closing.enter_context(socket.create_connection(("127.0.0.1", server.port), 5)) for _ in range(60)
        ]
        for number, client in enumerate(slow):
            client.sendall(starts[number % 3])
        closed, end = 0, time.monotonic() + 60
        while slow and time.monotonic() < end:
            for client in list(slow):
                try:
                    client.sendall(b"x")
                except ConnectionError:
                    slow.remove(client)
                    closed += 1
            begin = time.monotonic()
            assert server.ask("/predict", IMAGES[0], content_type="image/png").status == 200
            assert time.monotonic() - begin < 5
            time.sleep(0.5)
    assert (closed, slow) == (60, [])


def test_a_port_in_use_is_one_sentence(tmp_path, server):
    with (
        pytest.raises(AssertionError, match="cannot be used"),
        running_server(tmp_path, f"--port={server.port}"),
    ):
        pass


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with open_browser(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.fixture
def page(server, browser):
    browser.messages.clear()
    browser.open(server.url)
    browser.wait("byId('limits').textContent")
    return browser


@pytest.fixture
def image(tmp_path):
    (tmp_path / "drawn.png").write_bytes(IMAGES[0])
    return tmp_path / "drawn.png"


@needs_chromium
def test_a_dropped_image_is_shown_with_its_boxes(page, image, expected):
    page.drop_file(image, x=300, y=150)
    page.wait(SHOWN)
    assert page.run("document.querySelectorAll('#rows tr').length") == len(expected[0].scores)
    check(page.run("prediction"), expected[0])
    assert page.messages == []
    x1, y1, _, y2 = expected[0].boxes[0]
    at = [round(each * page.run("byId('canvas').width") / 64) for each in (x1, (y1 + y2) / 2)]
    drawn = page.run(f"[...context.getImageData({at[0]}, {at[1]}, 1, 1).data]")
    page.run("prediction.objects = [], draw(-1)")
    bare = page.run(f"[...context.getImageData({at[0]}, {at[1]}, 1, 1).data]")
    assert max(abs(one - other) for one, other in zip(drawn, bare, strict=True)) > 60


@needs_chromium
def test_the_threshold_of_the_page_hides_weaker_objects(page, image, expected):
    page.choose_file("#file", image)
    page.wait(SHOWN)
    least = choose_threshold(expected)
    page.run(f"byId('conf').value = {least}, byId('conf').dispatchEvent(new Event('input'))")
    shown = page.run("[...document.querySelectorAll('#rows td:last-child')].map((cell) => +cell.textContent)")
    assert shown == [pytest.approx(score, abs=1e-3) for score in expected[0].scores if score >= least]


@needs_chromium
def test_what_is_no_image_is_refused_on_the_page(page, tmp_path):
    (tmp_path / "notes.txt").write_text("no image")
    page.drop_file(tmp_path / "notes.txt", x=300, y=150)
    page.wait("!byId('error').hidden")
    assert "no image" in page.run("byId('error').textContent")
    assert not page.run(SHOWN)


@needs_chromium
def test_the_policy_of_the_page_lets_nothing_else_run(page):
    page.run("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.ran = 1\">')")
    page.run("const added = document.createElement('script'); added.textContent = 'window.ran = 1'")
    page.run("document.body.append(added)")
    assert page.run("window.ran") is None
    assert page.run("fetch('https://example.org/').then(() => 'loaded', () => 'refused')") == "refused"
    assert page.messages


@needs_chromium
@pytest.mark.fault(1, "markup in the names of classes and files")
def test_class_names_with_markup_are_shown_as_text(page, image):
    page.choose_file("#file", image)
    page.wait(SHOWN)
    page.run("prediction.objects[0].name = '<b>disc</b>', listRows(), draw(-1)")
    assert page.run("document.querySelector('#rows td').textContent") == "<b>disc</b>"


@pytest.mark.fault(13, "SIGTERM of a server that answers")
def test_running_requests_are_answered_when_the_server_is_told_to_stop(server):
    """The last test here: it ends the server of all others."""
    body = json.dumps({"images": [base64.b64encode(IMAGES[0]).decode()] * 8}).encode()
    with ThreadPoolExecutor(8) as pool:
        answers = [
            pool.submit(server.ask, "/predict", body, content_type="application/json") for _ in range(8)
        ]
        while server.read_metric("finetrack_active_requests") < 8:
            assert not all(each.done() for each in answers), "the model is too fast for this test"
        assert server.stop(signal.SIGTERM) == 0
        assert [len(answer.result().json["predictions"]) for answer in answers] == [8] * 8
    assert server.log.endswith("serve: stopped\n")
    assert "Traceback" not in server.log
