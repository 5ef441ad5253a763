"""What a request asks for: files as they are, forms and JSON; everything else is refused with a status."""

from __future__ import annotations

import base64
import json
import time

import pytest
import requests

from pipeline.serve.uploads.limits import RequestError, ServeLimits
from pipeline.serve.uploads.parse_upload import parse_upload

LIMITS = ServeLimits(max_images=3)
TEXT = base64.b64encode(b"abc").decode()


def parse(body, kind="application/json", query=None):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return parse_upload(content, kind, query or {}, LIMITS)


def status_of(*values: object, **named):
    with pytest.raises(RequestError) as refused:
        parse(*values, **named)
    return refused.value.status


def test_json_has_images_as_base64_text():
    uri, lines = f"data:image/png;base64,{TEXT}", f"{TEXT[:2]}\n{TEXT[2:]}\n"
    upload = parse({"images": [TEXT, uri, lines], "conf": 0.5})
    assert (upload.images, upload.options.conf) == ((b"abc",) * 3, 0.5)


def test_a_form_has_files_and_fields():
    files = [("images", ("a", b"1")), ("file", ("b", b"2"))]
    made = requests.Request("POST", "http://h/", data={"top": "2"}, files=files).prepare()
    upload = parse(made.body, made.headers["Content-Type"])
    assert (upload.images, upload.options.top) == ((b"1", b"2"), 2)


@pytest.mark.parametrize("kind", ["image/jpeg", "application/octet-stream", "Image/PNG; charset=x"])
def test_a_body_is_one_image_and_the_query_has_the_options(kind):
    upload = parse(b"abc", kind, {"conf": "0.25"})
    assert (upload.images, upload.options.conf) == ((b"abc",), 0.25)


@pytest.mark.parametrize(
    "text", ["/etc/passwd", "http://127.0.0.1/a.png", "file:///etc/passwd", "data:,%ff", "ü", "ab=c"]
)
def test_paths_and_urls_are_no_images(text):
    assert status_of({"images": [text]}) == 400


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 100_000, b'{"images": ["\xff"]}', b"\x00"])
def test_malformed_json_is_refused(body):
    assert status_of(body) == 400


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"images": []},
        {"images": TEXT},
        {"images": [1]},
        {"images": [TEXT], "conf": 2},
        {"images": [TEXT], "conf": "high"},
        {"images": [TEXT], "top": 0},
        {"images": [TEXT], "imgsz": 640},
        {"images": [TEXT], "url": "http://h/"},
    ],
)
def test_json_of_another_form_is_refused(body):
    assert status_of(body) == 422


@pytest.mark.parametrize("body", [b"1", b"null", b'""', b"[]", b"{}"])
def test_json_of_many_values_is_refused_before_it_is_parsed(body):
    start = time.process_time()
    assert status_of(b'{"images":[' + b",".join([body] * 1_000_000) + b"]}") == 413
    assert time.process_time() - start < 0.3  # to parse a million values, and list their errors, takes 5


def test_the_most_images_that_are_allowed_fit_as_data_uris_with_all_options():
    uris = [f"data:image/png;base64,{TEXT}"] * 3
    assert len(parse({"images": uris, "conf": 0.5, "top": None}).images) == 3
    assert status_of({"images": [*uris, uris[0]]}) == 413


@pytest.mark.parametrize("query", [{"conf": "nan"}, {"conf": "-1"}, {"top": "1.5"}, {"cnf": "0.5"}])
def test_options_of_the_query_are_checked(query):
    assert status_of(b"abc", "image/png", query) == 422


def test_an_option_of_a_form_is_not_given_twice():
    made = requests.Request(
        "POST", "http://h/", data=[("conf", "0.1"), ("conf", "0.9")], files=[("images", ("a", b"1"))]
    ).prepare()
    assert status_of(made.body, made.headers["Content-Type"]) == 422


def test_more_images_than_allowed_are_refused():
    assert status_of({"images": [TEXT] * 4}) == 413


@pytest.mark.parametrize("body", [{"images": [""]}, b""])
def test_an_empty_image_is_refused(body):
    assert status_of(body, "application/json" if isinstance(body, dict) else "image/png") == 400


@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/mixed"])
def test_other_content_types_are_refused(kind):
    assert status_of(b"abc", kind) == 415
