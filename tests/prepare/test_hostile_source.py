"""Sources made to run code, read other files, or fetch: none of it happens, and good images are used."""

from __future__ import annotations

import io
import json
import pickle
import re
import socket
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest

from pipeline.core.errors import UserError
from pipeline.core.paths import PREPARED_FOLDER
from pipeline.dataset.prepared import read_manifest
from pipeline.prepare.stage import run_stage
from pipeline.source.archives.extract import unpack_source
from tests import sources
from tests.corpus import pack_tar, pack_zip
from tests.sources import prepare_config, write_picture

LABEL = "0 0.5 0.5 0.2 0.4\n"
SIX = [f"{number}" for number in range(6)]
MARKUP = "<script>fetch('http:x')</script>"


class Canary:
    """An address that nobody should ask, and a file that nothing should write: `check` says whether."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "ran"
        self.asked = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/a.zip"
        threading.Thread(target=self._count, daemon=True).start()

    def _count(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.asked += 1
            client.close()

    def check(self) -> None:
        """Check that no code ran, and nothing was fetched."""
        assert (self.file.exists(), self.asked) == (False, 0)

    def close(self) -> None:
        """Stop listening."""
        self._listener.close()

    def __reduce__(self) -> tuple[object, ...]:
        """Write the file when unpickled."""
        return Path.touch, (self.file,)


@pytest.fixture
def canary(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    canary = Canary(tmp_path)
    yield canary
    canary.close()


def prepare(form: str, folder: Path, **changes):
    run_stage(prepare_config(form, folder, samples=0, **changes))
    return read_manifest(PREPARED_FOLDER)


@pytest.mark.parametrize(
    "download",
    [
        "{url}",
        "|\n  from pathlib import Path\n  Path('{file}').touch()",
        "bash touch {file}",
        "bash -c 'touch {file}'; curl {url}",
        "[{url}]",
        "{url} {url}",
        "!!python/object/apply:os.system ['touch {file}']",
        "!!python/name:os.system",
        "!!python/module:antigravity",
        "!!python/object/new:os.system ['touch {file}']",
    ],
)
@pytest.mark.fault(1, "data.yaml with code to run or an address to fetch")
def test_no_download_of_a_data_yaml_runs_or_is_fetched(tmp_path, canary, download):
    source = sources.write_yolo_source(tmp_path / "source", dict.fromkeys(SIX, LABEL), names=None)
    text = download.format(url=canary.url, file=canary.file)
    (source / "data.yaml").write_text(f"train: images\nnames: [a]\ndownload: {text}\n")
    if download == "{url}":
        assert len(prepare("yolo", source).items) == 6
    else:
        with pytest.raises(UserError, match=r"download|plain YAML"):
            prepare("yolo", source)
    canary.check()


@pytest.mark.fault(1, "planted caches with code beside the labels of a source")
def test_planted_caches_are_ignored_and_stay(tmp_path, canary):
    source = sources.write_yolo_source(tmp_path / "source", dict.fromkeys(SIX, LABEL))
    plain = pickle.dumps(canary)
    array = io.BytesIO()
    np.save(array, np.array([canary], dtype=object), allow_pickle=True)
    for name, content in {
        "labels.cache": plain,
        "labels/labels.cache": plain,
        "images.cache": plain,
        "labels.cache.npy": array.getvalue(),
        "images/0.npy": array.getvalue(),
        "images/0.pkl": plain,
        "instances.pkl": plain,
    }.items():
        (source / name).write_bytes(content)
    before = {path: path.read_bytes() for path in source.rglob("*") if path.is_file()}
    assert len(prepare("yolo", source).items) == 6
    canary.check()
    assert {path: path.read_bytes() for path in source.rglob("*") if path.is_file()} == before


@pytest.mark.fault(1, "COCO file with paths and addresses outside the source")
def test_coco_names_outside_the_source_are_not_read_or_fetched(tmp_path, canary):
    secret = write_picture(tmp_path / "secret.jpg")
    rows = {f"{name}.jpg": [{}] for name in SIX}
    rows |= {name: [{}] for name in ("../secret.jpg", str(secret), canary.url, f"file://{secret}")}
    source = tmp_path / "source"
    sources.write_coco_file(source / "annotations/instances.json", rows, categories={1: "a"})
    for name in SIX:
        write_picture(source / f"images/{name}.jpg")
    file = source / "annotations/instances.json"
    values = json.loads(file.read_text())
    for image in values["images"]:
        image |= {"coco_url": canary.url, "flickr_url": canary.url}
    file.write_text(json.dumps(values))
    assert sorted(Path(item.source).stem for item in prepare("coco", source).items) == SIX
    said = (PREPARED_FOLDER / "defects.json").read_text()
    assert said.count('"missing-image"') == 4
    canary.check()


@pytest.mark.parametrize(
    "entity", ['"aaaa"', 'SYSTEM "file://{secret}"', 'SYSTEM "{url}"', 'PUBLIC "x" "{url}"']
)
@pytest.mark.fault(1, "XML with entities")
def test_entities_of_xml_are_not_expanded_or_fetched(tmp_path, canary, entity):
    (tmp_path / "secret").write_text("a secret text")
    stated = entity.format(secret=tmp_path / "secret", url=canary.url)
    for name in SIX:
        write_picture(tmp_path / f"source/JPEGImages/{name}.jpg")
        file = tmp_path / f"source/Annotations/{name}.xml"
        sources.write_voc_file(file, [("cat", (10, 20, 50, 60))])
    text = file.read_text().replace("cat", "&e;")
    file.write_text(f"<!DOCTYPE annotation [<!ENTITY e {stated}>]>\n{text}")
    assert len(prepare("voc", tmp_path / "source").items) == 5
    canary.check()
    made = [path for path in PREPARED_FOLDER.rglob("*") if path.is_file()]
    assert made
    assert not [path for path in made if b"a secret text" in path.read_bytes()]


@pytest.mark.fault(1, "markup in the names of classes and files")
def test_names_with_markup_are_text_in_the_report(tmp_path, canary):
    labels = {**dict.fromkeys(SIX, LABEL), "<img src=x onerror=alert(1)>": "7 0.5 0.5 0.2 0.4\n" + LABEL}
    source = sources.write_yolo_source(tmp_path / "source", labels, names=(MARKUP, "{{ 7 * 191 }}"))
    assert prepare("yolo", source).names[0] == MARKUP
    page = (PREPARED_FOLDER / "report.html").read_text()
    assert not re.search(r"<script|<img src=x|1337", page)
    assert "&lt;script&gt;" in page
    canary.check()


def zip_bytes(*members: tuple[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in members:
            archive.writestr(name, data)
    return file.getvalue()


@pytest.mark.parametrize("suffix", [".zip", ".tar"])
@pytest.mark.fault(1, "archive in an archive")
def test_an_archive_in_an_archive_stays_packed(tmp_path, canary, suffix):
    """So a bomb or a name that leads out, one level deeper, does nothing."""
    picture = write_picture(tmp_path / "0.jpg").read_bytes()
    inner = zip_bytes(("../../escaped.txt", b"out"), ("bomb.txt", bytes(1 << 20)))
    members = ("images/0.jpg", picture), ("labels/0.txt", LABEL.encode()), ("images/inner.zip", inner)
    pack = pack_zip(*members) if suffix == ".zip" else pack_tar(*members, suffix=suffix)
    folder = unpack_source(pack(tmp_path / "source"))
    assert sorted(path.name for path in folder.rglob("*") if path.is_file()) == [
        "0.jpg",
        "0.txt",
        "inner.zip",
    ]
    assert not list(tmp_path.rglob("escaped.txt"))
    canary.check()
