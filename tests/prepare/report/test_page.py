"""The report page for every task, with any names and files of a source."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import cv2
import pytest

from pipeline.core.findings import Finding
from pipeline.core.tasks import TASKS
from pipeline.dataset.labels import xywhn_to_xyxy
from pipeline.dataset.prepared import read_labels
from pipeline.prepare.images.appearance import measure_appearance
from pipeline.prepare.report.gallery import MAX_FINDINGS_PER_KIND
from pipeline.prepare.report.page import REPORT_FILE, ReportContent, write_report
from pipeline.prepare.report.statistics import ImageStatistics
from pipeline.prepare.stage import run_stage
from tests import sources, task_sets
from tests.builders import prepared_dataset

MALICIOUS = '"><script>alert(1)</script><img src=x onerror=alert(1)>'


class ParsedPage(HTMLParser):
    """Tags, text and pictures of a page, as a browser parses them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    @property
    def pictures(self) -> list[str]:
        return [str(attributes["alt"]) for tag, attributes in self.tags if tag == "img"]


def build_statistics(folder, manifest):
    for item in manifest.items:
        marked = read_labels(folder / "labels" / item.label_file, manifest.task)
        boxes = xywhn_to_xyxy(marked.boxes, item.width, item.height)
        look = measure_appearance(cv2.imread(str(folder / "images" / item.file)))
        size, looks = (item.width, item.height), (look.brightness, look.sharpness)
        yield ImageStatistics(item.split, size, item.classes, boxes, item.source, *looks)


def write_and_parse(folder, manifest, **changes):
    values = {"name": "a set", "defects": [], "shown": 4, **changes}
    write_report(
        folder, ReportContent(manifest=manifest, images=list(build_statistics(folder, manifest)), **values)
    )
    return ParsedPage((folder / REPORT_FILE).read_text())


@pytest.mark.parametrize("task", TASKS)
def test_page_of_each_task_needs_no_other_file(task, tmp_path):
    manifest = task_sets.prepared(tmp_path, task)
    found = write_and_parse(tmp_path, manifest)
    assert not {"script", "link", "iframe", "object", "embed"} & {tag for tag, _ in found.tags}
    for tag, attributes in found.tags:
        assert not [name for name in attributes if name.startswith("on")]
        assert (attributes.get("src") or "data:").startswith("data:"), tag
        assert (attributes.get("href") or "#").startswith("#"), tag
    policy = [a["content"] for tag, a in found.tags if tag == "meta" and "http-equiv" in a]
    assert policy == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]
    assert not re.search(r"url\(|@import|https?:", (tmp_path / REPORT_FILE).read_text())
    assert ("Where objects lie" in found.text) == (task != "classify")
    assert all(name in found.text for name in manifest.names)
    assert manifest.digest in found.text


def test_same_dataset_gives_the_same_page(tmp_path):
    manifest = prepared_dataset(tmp_path)
    write_and_parse(tmp_path, manifest)
    first = (tmp_path / REPORT_FILE).read_bytes()
    write_and_parse(tmp_path, manifest)
    assert (tmp_path / REPORT_FILE).read_bytes() == first


@pytest.mark.fault(1, "markup in the names of classes and files")
def test_malicious_names_are_escaped(tmp_path):
    manifest = prepared_dataset(tmp_path, classes=(MALICIOUS, "square"))
    found = write_and_parse(
        tmp_path,
        manifest,
        name=MALICIOUS,
        defects=[Finding(MALICIOUS, "quarantined", MALICIOUS)],
        remarks=[MALICIOUS],
    )
    assert "script" not in {tag for tag, _ in found.tags}
    assert not [attributes for _, attributes in found.tags if "onerror" in attributes]
    assert found.text.count(MALICIOUS) >= 4


def test_very_long_path_is_shortened_to_its_end(tmp_path):
    manifest = prepared_dataset(tmp_path)
    name = "/".join(["d" * 100] * 9) + "/deep.jpg"
    found = write_and_parse(tmp_path, manifest, defects=[Finding(name, "quarantined", "no", "empty-image")])
    assert f"…{name[-120:]}" in found.text
    assert name not in found.text
    assert name in [attributes.get("title") for _, attributes in found.tags]


def test_samples_are_train_images(tmp_path):
    manifest = prepared_dataset(tmp_path, images={"train": 3, "val": 9, "test": 9})
    assert set(write_and_parse(tmp_path, manifest).pictures[-3:]) == {
        item.source for item in manifest.in_split("train")
    }
    write_and_parse(tmp_path, manifest, shown=0)
    assert 'id="samples"' not in (tmp_path / REPORT_FILE).read_text()


def test_near_duplicates_are_shown_with_their_splits(tmp_path):
    manifest = prepared_dataset(tmp_path)
    group = [manifest.in_split("train")[0].source, manifest.in_split("test")[0].source]
    before = write_and_parse(tmp_path, manifest).pictures
    found = write_and_parse(tmp_path, manifest, groups=[group])
    assert len(found.pictures) == len(before) + 2
    assert "2 images in traintest" in found.text


def test_findings_are_counted_and_the_first_of_each_kind_shown(tmp_path):
    manifest = prepared_dataset(tmp_path / "prepared")
    sources.write_picture(tmp_path / "source/bad_00.jpg")
    bad = [Finding(f"bad_{n:02d}.jpg", "quarantined", "upside down", "damaged-image") for n in range(20)]
    used = Finding(manifest.items[0].source, "fixed", "line 1: corners", "inverted")
    found = write_and_parse(
        tmp_path / "prepared", manifest, defects=[*bad, used], roots={"": tmp_path / "source"}, shown=0
    )
    assert "bad_00.jpg" in found.pictures
    assert used.file in found.pictures
    assert found.text.count("upside down") == MAX_FINDINGS_PER_KIND
    assert f"and {20 - MAX_FINDINGS_PER_KIND} more" in found.text
    assert "damaged image" in found.text


def test_dataset_without_objects_has_a_page(tmp_path):
    manifest = prepared_dataset(tmp_path, objects=(0, 0))
    found = write_and_parse(tmp_path, manifest)
    assert "no objects in train of disc, square, bar" in found.text
    assert "Where objects lie" not in found.text


def test_prepare_writes_the_page_next_to_the_dataset(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    line = "0 0.5 0.5 0.4 0.4\n"
    source = sources.write_yolo_source(tmp_path / "source", {f"image_{n}": line for n in range(9)})
    (source / "images/broken.jpg").write_bytes(b"\xff\xd8\xff")
    run_stage(sources.prepare_config("yolo", source))
    text = (tmp_path / "data/prepared/report.html").read_text()
    assert "<h1>source <em>detect</em></h1>" in text
    assert "images/broken.jpg" in ParsedPage(text).text
    looks = json.loads((tmp_path / "data/prepared/statistics.json").read_text())["train"]
    assert 0.3 < looks["brightness"]["median"] < 0.7
    assert looks["sharpness"]["min"] > 10


def test_the_console_judges_sizes_for_the_training_and_no_file_depends_on_it(tmp_path, monkeypatch, capsys):
    line = "0 0.5 0.5 0.02 0.02\n"  # 12.8 pixels at 640
    source = sources.write_yolo_source(tmp_path / "source", {f"image_{n}": line for n in range(9)})
    files, said = [], []
    for imgsz in (320, 640):
        (tmp_path / str(imgsz)).mkdir()
        monkeypatch.chdir(tmp_path / str(imgsz))
        run_stage(sources.prepare_config("yolo", source, imgsz=imgsz))
        prepared = Path("data/prepared")
        files.append({path: path.read_bytes() for path in prepared.rglob("*") if path.is_file()})
        said.append([line for line in capsys.readouterr().out.splitlines() if "Tiny objects" in line])
    assert files[0] == files[1]
    assert [len(lines) for lines in said] == [1, 0]
    assert "imgsz=320 (0% at 640, 0% at 1280)" in said[0][0]
