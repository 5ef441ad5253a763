"""Lists of SHA-256 are read as `sha256sum -c` reads them."""

from __future__ import annotations

import hashlib

import pytest

from pipeline.storage.checksums import read_listed_sha256


@pytest.mark.parametrize(
    "line",
    [
        "{0}  a.pt\n",
        "{0} *a.pt\r\n",
        "{1}  a.pt\n",
        "{0}  ./a.pt\n",
        "\ufeff{0}  a.pt\n",
        "# mine\n{0}  a.pt",
    ],
)
def test_a_line_of_a_list_is_read_as_sha256sum_reads_it(tmp_path, line):
    digest = hashlib.sha256(b"a").hexdigest()
    text = line.format(digest, digest.upper())
    (tmp_path / "SHA256SUMS").write_bytes(text.encode())
    assert read_listed_sha256("nets/a.pt", tmp_path / "a.pt") == digest
    assert read_listed_sha256("nets/b.pt", tmp_path / "b.pt") is None
