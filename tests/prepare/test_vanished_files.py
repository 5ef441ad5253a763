"""Files of a source that were away for a while, as on a network disk, are noticed when they are back."""

from __future__ import annotations

import pytest

from pipeline.core.errors import ChangedInputError
from pipeline.core.findings import Finding
from pipeline.prepare.images.check import check_image
from pipeline.prepare.images.errors import UnusableImageError
from pipeline.prepare.vanished_files import refuse_vanished_files
from pipeline.source.reading.file_tree import list_images, record_listings, share_listings

pytestmark = pytest.mark.fault(3, "images are away while prepare reads")


@pytest.fixture
def source(tmp_path):
    for name in ("a/1.jpg", "a/2.jpg", "b/3.jpg"):
        (tmp_path / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "source" / name).write_bytes(b"x")
    return tmp_path / "source"


def list_while_away(source, away):
    """List a source while a file or folder of it is away, and bring that back."""
    away.rename(source.parent / "elsewhere")
    with record_listings() as listings, share_listings():
        list_images(source)
        list_images(source)
    (source.parent / "elsewhere").rename(away)
    return listings


@pytest.mark.parametrize("name", ["a", "a/2.jpg"])
def test_what_was_away_while_the_source_was_listed_is_named(source, name):
    listings = list_while_away(source, source / name)
    with pytest.raises(ChangedInputError, match=name):
        refuse_vanished_files(listings, [], {"": source})


def test_a_source_that_was_there_is_used(source):
    with record_listings() as listings:
        list_images(source)
    refuse_vanished_files(listings, [], {"": source})


@pytest.mark.parametrize("name", ["labels.cache", "Thumbs.db", ".DS_Store"])
def test_files_that_are_no_part_of_a_source_may_appear_while_it_is_read(source, name):
    with record_listings() as listings:
        list_images(source)
    (source / "a" / name).write_bytes(b"x")
    refuse_vanished_files(listings, [], {"": source})


def find_defect(file, root) -> Finding:
    with pytest.raises(UnusableImageError) as caught:
        check_image(root / file)
    return Finding(file, "quarantined", str(caught.value), caught.value.kind)


@pytest.mark.parametrize("several", [False, True])
def test_an_image_that_could_not_be_read_and_is_back_is_named(source, several):
    away = source.parent / "elsewhere"
    (source / "a/1.jpg").rename(away)
    finding = find_defect("a/1.jpg", source)
    roots = {"": source}
    if several:
        finding, roots = finding._replace(file=f"here/{finding.file}"), {"here": source, "there": away}
    refuse_vanished_files({}, [finding], roots)
    away.rename(source / "a/1.jpg")
    with pytest.raises(ChangedInputError, match=r"a/1\.jpg"):
        refuse_vanished_files({}, [finding], roots)


def test_a_damaged_or_empty_image_is_no_change(source):
    (source / "a/2.jpg").write_bytes(b"")
    findings = [find_defect(name, source) for name in ("a/1.jpg", "a/2.jpg")]
    refuse_vanished_files({}, findings, {"": source})
