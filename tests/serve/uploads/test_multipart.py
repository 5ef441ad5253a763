"""Forms are split as clients write them, whatever bytes the files have."""

from __future__ import annotations

from contextlib import suppress

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from pipeline.serve.uploads.limits import RequestError
from pipeline.serve.uploads.multipart import split_multipart

TYPE = "multipart/form-data; boundary=x"


def encode(fields, files):
    """Encode a form as the library requests does."""
    made = requests.Request("POST", "http://h/", data=fields, files=files).prepare()
    return made.body, made.headers["Content-Type"]


@given(st.lists(st.binary(max_size=60), min_size=1, max_size=4))
def test_files_come_out_as_they_went_in(contents):
    body, kind = encode({"conf": "0.5"}, [("images", ("a.png", data)) for data in contents])
    parts = split_multipart(body, kind, max_parts=9)
    assert [part.data for part in parts if part.is_file] == contents
    assert [(part.name, part.data) for part in parts if not part.is_file] == [("conf", b"0.5")]


def test_line_ends_and_dashes_in_a_file_do_not_end_it():
    data = b"\r\n--\r\n--y\r\n\r\n--"
    body, kind = encode({}, [("images", ("a", data))])
    assert split_multipart(body, kind, max_parts=1)[0].data == data


def test_text_before_the_form_and_a_quoted_boundary_are_allowed():
    body = b'ignored\r\n--a b\r\nContent-Disposition: form-data; name="top"\r\n\r\n3\r\n--a b--\r\n'
    [part] = split_multipart(body, 'multipart/form-data; boundary="a b"', max_parts=1)
    assert (part.name, part.is_file, part.data) == ("top", False, b"3")


@pytest.mark.parametrize("name", ['filename="a.png"', "filename*=UTF-8''%C3%A4.png", 'filename=""'])
def test_any_file_name_makes_a_file(name):
    body = f'--x\r\nContent-Disposition: form-data; name="images"; {name}\r\n\r\n3\r\n--x--'.encode()
    assert split_multipart(body, TYPE, max_parts=1)[0].is_file


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", TYPE),
        (b"--x", TYPE),
        (b"--x--", "multipart/form-data"),
        (b"--x--", "multipart/form-data; boundary="),
        (b"--x--", 'multipart/form-data; boundary="\r\n"'),
        (b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\ncut', TYPE),
        (b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\ncut\r\n--xy--', TYPE),
        (b"--x\r\nContent-Disposition: form-data\r\n\r\n1\r\n--x--", TYPE),
        (b"--x\r\n\r\n1\r\n--x--", TYPE),
        (b"--x\r\nno end of headers\r\n--x--", TYPE),
        (b'--x\r\nContent-Disposition: form-data; name="a"' + b" " * 5000 + b"\r\n\r\n1\r\n--x--", TYPE),
    ],
)
def test_what_is_no_whole_form_is_refused(body, kind):
    with pytest.raises(RequestError) as refused:
        split_multipart(body, kind, max_parts=3)
    assert refused.value.status == 400


def test_too_many_parts_are_refused():
    body, kind = encode({}, [("images", (str(n), b"1")) for n in range(4)])
    with pytest.raises(RequestError) as refused:
        split_multipart(body, kind, max_parts=3)
    assert refused.value.status == 413


@given(st.binary(max_size=200))
def test_any_bytes_are_a_form_or_refused(body):
    with suppress(RequestError):
        split_multipart(b"--x" + body, TYPE, max_parts=3)
