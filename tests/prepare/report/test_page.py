"""The report's page: for every task, whatever names and files a source brings."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest
from PIL import Image

from pipeline.core.findings import Finding
from pipeline.core.tasks import TASKS
from pipeline.dataset.labels import to_xyxy
from pipeline.dataset.prepared import read_labels
from pipeline.prepare import stage
from pipeline.prepare.images import appearance
from pipeline.prepare.report import page as report_page
from pipeline.prepare.report import safe_thumbnails
from pipeline.prepare.report.gallery import OF_A_KIND
from pipeline.prepare.report.page import FILE, ReportContent
from pipeline.prepare.report.statistics import ImageStatistics
from tests import sources, task_sets
from tests.builders import prepared_dataset

HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(1)>'


class Page(HTMLParser):
    """What a browser would make of a page."""

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


def described(folder, manifest):
    for item in manifest.items:
        marked = read_labels(folder / "labels" / item.label, manifest.task)
        boxes = to_xyxy(marked.boxes, item.width, item.height)
        look = appearance.measure(cv2.imread(str(folder / "images" / item.file)))
        size, looks = (item.width, item.height), (look.brightness, look.sharpness)
        yield ImageStatistics(item.split, size, item.classes, boxes, item.source, *looks)


def page(folder, manifest, **changes):
    values = {"name": "a set", "defects": [], "shown": 4, **changes}
    report_page.write(
        folder, ReportContent(manifest=manifest, images=list(described(folder, manifest)), **values)
    )
    return Page((folder / FILE).read_text())


@pytest.mark.parametrize("task", TASKS)
def test_a_page_of_each_task_shows_itself_without_another_file(task, tmp_path):
    manifest = task_sets.prepared(tmp_path, task)
    found = page(tmp_path, manifest)
    assert not {"script", "link", "iframe", "object", "embed"} & {tag for tag, _ in found.tags}
    for tag, attributes in found.tags:
        assert not [name for name in attributes if name.startswith("on")]
        assert (attributes.get("src") or "data:").startswith("data:"), tag
        assert (attributes.get("href") or "#").startswith("#"), tag
    policy = [a["content"] for tag, a in found.tags if tag == "meta" and "http-equiv" in a]
    assert policy == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]
    assert not re.search(r"url\(|@import|https?:", (tmp_path / FILE).read_text())
    assert ("Where objects lie" in found.text) == (task != "classify")
    assert all(name in found.text for name in manifest.names)
    assert manifest.digest in found.text


def test_the_same_dataset_gives_the_same_page(tmp_path):
    manifest = prepared_dataset(tmp_path)
    page(tmp_path, manifest)
    first = (tmp_path / FILE).read_bytes()
    page(tmp_path, manifest)
    assert (tmp_path / FILE).read_bytes() == first


def test_names_from_outside_stay_text(tmp_path):
    manifest = prepared_dataset(tmp_path, classes=(HOSTILE, "square"))
    found = page(
        tmp_path,
        manifest,
        name=HOSTILE,
        defects=[Finding(HOSTILE, "quarantined", HOSTILE)],
        remarks=[HOSTILE],
    )
    assert "script" not in {tag for tag, _ in found.tags}
    assert not [attributes for _, attributes in found.tags if "onerror" in attributes]
    assert found.text.count(HOSTILE) >= 4


def test_of_a_very_long_path_the_end_is_shown(tmp_path):
    manifest = prepared_dataset(tmp_path)
    name = "/".join(["d" * 100] * 9) + "/deep.jpg"
    found = page(tmp_path, manifest, defects=[Finding(name, "quarantined", "no", "empty-image")])
    assert f"…{name[-120:]}" in found.text
    assert name not in found.text
    assert name in [attributes.get("title") for _, attributes in found.tags]


def test_samples_show_what_the_training_sees(tmp_path):
    manifest = prepared_dataset(tmp_path, images={"train": 3, "val": 9, "test": 9})
    assert set(page(tmp_path, manifest).pictures[-3:]) == {item.source for item in manifest.of("train")}
    page(tmp_path, manifest, shown=0)
    assert 'id="samples"' not in (tmp_path / FILE).read_text()


def test_near_duplicates_lie_side_by_side_with_their_splits(tmp_path):
    manifest = prepared_dataset(tmp_path)
    group = [manifest.of("train")[0].source, manifest.of("test")[0].source]
    before = page(tmp_path, manifest).pictures
    found = page(tmp_path, manifest, groups=[group])
    assert len(found.pictures) == len(before) + 2
    assert "2 images in traintest" in found.text


def test_defects_are_counted_and_the_first_of_each_kind_shown(tmp_path):
    manifest = prepared_dataset(tmp_path / "prepared")
    sources.picture(tmp_path / "source/bad_00.jpg")
    bad = [Finding(f"bad_{n:02d}.jpg", "quarantined", "upside down", "damaged-image") for n in range(20)]
    used = Finding(manifest.items[0].source, "fixed", "line 1: corners", "inverted")
    found = page(tmp_path / "prepared", manifest, defects=[*bad, used], root=tmp_path / "source", shown=0)
    assert "bad_00.jpg" in found.pictures
    assert used.file in found.pictures
    assert found.text.count("upside down") == OF_A_KIND
    assert f"and {20 - OF_A_KIND} more" in found.text
    assert "damaged image" in found.text


def test_a_dataset_without_objects_has_a_page(tmp_path):
    manifest = prepared_dataset(tmp_path, objects=(0, 0))
    found = page(tmp_path, manifest)
    assert "no objects in train of disc, square, bar" in found.text
    assert "Where objects lie" not in found.text


def test_prepare_writes_the_page_beside_the_data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    line = "0 0.5 0.5 0.4 0.4\n"
    source = sources.yolo(tmp_path / "source", {f"image_{n}": line for n in range(9)})
    (source / "images/broken.jpg").write_bytes(b"\xff\xd8\xff")
    stage.run(sources.config("yolo", source))
    text = (tmp_path / "data/prepared/report.html").read_text()
    assert "<h1>source <em>detect</em></h1>" in text
    assert "images/broken.jpg" in Page(text).text
    looks = json.loads((tmp_path / "data/prepared/statistics.json").read_text())["train"]
    assert 0.3 < looks["brightness"]["median"] < 0.7
    assert looks["sharpness"]["min"] > 10


class TestThumbnails:
    """Pictures of files that may be anything."""

    def test_an_image_is_shown_small(self, tmp_path):
        sources.picture(tmp_path / "large.jpg", size=(2000, 1000))
        found = safe_thumbnails.read("large.jpg", tmp_path, 200)
        assert found is not None
        assert found.shape == (100, 200, 3)

    @pytest.mark.parametrize("name", ["../outside.jpg", "linked.jpg", "folder/outside.jpg"])
    def test_what_lies_outside_of_the_source_is_not_opened(self, name, tmp_path):
        root = tmp_path / "source"
        root.mkdir()
        sources.picture(tmp_path / "elsewhere/outside.jpg")
        sources.picture(tmp_path / "outside.jpg")
        (root / "linked.jpg").symlink_to(tmp_path / "outside.jpg")
        (root / "folder").symlink_to(tmp_path / "elsewhere")
        assert safe_thumbnails.read(name, root, 200) is None

    @pytest.mark.parametrize(
        "contents",
        [
            b"",
            b"\xff\xd8\xff\xe0",
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
            b"no image",
        ],
        ids=["empty", "cut", "postscript", "text"],
    )
    def test_what_is_no_image_has_no_picture(self, contents, tmp_path):
        (tmp_path / "bad.jpg").write_bytes(contents)
        assert safe_thumbnails.read("bad.jpg", tmp_path, 200) is None
        assert safe_thumbnails.read("absent.jpg", tmp_path, 200) is None
        assert safe_thumbnails.read(".", tmp_path, 200) is None

    def test_a_file_that_stops_short_is_shown_up_to_the_cut(self, tmp_path):
        whole = sources.picture(tmp_path / "cut.jpg", size=(400, 400)).read_bytes()
        (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
        found = safe_thumbnails.read("cut.jpg", tmp_path, 400)
        assert found is not None
        assert found[:100].std() > 10
        assert found[-50:].std() < 1

    def test_a_decompression_bomb_is_not_decoded(self, tmp_path):
        Image.new("1", (9000, 9000)).save(tmp_path / "bomb.png")
        assert safe_thumbnails.read("bomb.png", tmp_path, 200) is None

    def test_deep_grey_values_are_stretched(self, tmp_path):
        deep = np.linspace(1000, 3000, 64 * 64).reshape(64, 64).astype(np.uint16)
        cv2.imwrite(str(tmp_path / "deep.png"), deep)
        found = safe_thumbnails.read("deep.png", tmp_path, 64)
        assert found is not None
        assert (found.min(), found.max()) == (0, 255)


@pytest.mark.parametrize(("shade", "brightness"), [(0, 0.0), (128, 0.502), (255, 1.0)])
def test_an_even_image_has_its_brightness_and_no_sharpness(shade, brightness):
    image = np.full((90, 120, 3), shade, np.uint8)
    found = appearance.measure(image)
    assert found.brightness == pytest.approx(brightness, abs=1e-3)
    assert found.sharpness == 0


def test_a_blurred_image_is_less_sharp_at_any_size():
    noise = np.random.default_rng(0).integers(0, 255, (100, 100, 3), np.uint8)
    for factor in (1, 12):
        image = cv2.resize(noise, None, fx=factor, fy=factor, interpolation=cv2.INTER_NEAREST)
        blurred = cv2.GaussianBlur(image, (0, 0), 3 * factor)
        assert appearance.measure(blurred).sharpness < appearance.measure(image).sharpness / 10
