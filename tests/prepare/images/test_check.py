"""Check of image files: valid ones are used unchanged, others are repaired or rejected."""

import contextlib
import hashlib
import io

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from pipeline.prepare.images.check import check_image
from pipeline.prepare.images.errors import UnusableImageError
from pipeline.source.plausibility.image_sizes import read_displayed_size
from tests.sources import SIZE, write_picture


@pytest.fixture
def jpeg(tmp_path):
    return write_picture(tmp_path / "x.jpg")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(("suffix", "compression"), [(".png", None), (".tif", None), (".tif", "tiff_lzw")])
def test_turned_image_is_rewritten_as_it_is_shown(tmp_path, orientation, suffix, compression):
    noise = np.random.default_rng(0).integers(0, 255, (30, 40, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[274] = orientation
    path = tmp_path / f"x{suffix}"
    Image.fromarray(noise).save(path, exif=exif, compression=compression)
    with Image.open(path) as opened:
        shown = np.asarray(ImageOps.exif_transpose(opened))
    found = check_image(path)
    assert found.size == shown.shape[1::-1] == read_displayed_size(path)
    assert [note.kind for note in found.notes] == ["turned"] * (orientation > 1)
    assert found.suffix == (suffix if orientation == 1 else ".png")
    used = cv2.imdecode(np.frombuffer(found.data or path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    assert (used[..., ::-1] == shown).all()


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".JPG", ".png", ".bmp", ".webp", ".tif"])
def test_valid_image_is_used_unchanged(tmp_path, suffix):
    path = write_picture(tmp_path / f"x{suffix}")
    found = check_image(path)
    assert (found.original.path, found.suffix, found.size) == (str(path), suffix.lower(), SIZE)
    assert (found.data, found.sha256) == (b"", hashlib.sha256(path.read_bytes()).hexdigest())
    assert found.notes == ()


@pytest.mark.parametrize(
    ("mode", "suffix", "kind"),
    [
        ("1", ".png", "one-bit"),
        ("P", ".png", "palette"),
        ("P", ".bmp", "palette"),
        ("P", ".gif", "unsupported-format"),
        ("CMYK", ".jpg", "cmyk"),
        ("CMYK", ".tif", "cmyk"),
        ("I;16", ".png", "sixteen-bit"),
    ],
)
def test_ambiguous_color_mode_is_rewritten_as_opencv_shows_it(tmp_path, mode, suffix, kind):
    path = tmp_path / f"x{suffix}"
    noise = np.random.default_rng(0).integers(0, 255, (30, 40, 3), dtype=np.uint8)
    deep = Image.fromarray(noise[..., 0].astype(np.uint16) << 8)
    (deep if mode == "I;16" else Image.fromarray(noise).convert(mode)).save(path)
    found = check_image(path)
    assert (found.suffix, found.size) == (".png", (40, 30))
    assert [(note.dropped, note.kind) for note in found.notes] == [(False, kind)]
    with Image.open(io.BytesIO(found.data)) as rewritten:
        assert rewritten.mode == "RGB"
    as_it_was = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    assert (cv2.imdecode(np.frombuffer(found.data, np.uint8), cv2.IMREAD_COLOR) == as_it_was).all()


def test_sixteen_bit_image_keeps_its_upper_eight_bits(tmp_path):
    values = np.arange(900, dtype=np.uint16).reshape(30, 30) * 72
    (tmp_path / "x.png").write_bytes(cv2.imencode(".png", values)[1].tobytes())
    found = cv2.imdecode(np.frombuffer(check_image(tmp_path / "x.png").data, np.uint8), cv2.IMREAD_COLOR)
    assert (found[..., 0] == values >> 8).all()


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize(("highest", "is_usable"), [(0, True), (4095, False), (4096, True)])
def test_twelve_bits_in_sixteen_are_not_shown_in_the_dark(tmp_path, suffix, highest, is_usable):
    path, values = tmp_path / f"x{suffix}", np.zeros((30, 30, 3), np.uint16)
    values[5, 5] = highest
    path.write_bytes(cv2.imencode(suffix, values)[1].tobytes())
    if is_usable:
        assert check_image(path).notes[0].kind == "sixteen-bit"
        return
    with pytest.raises(UnusableImageError, match="4,095") as unusable:
        check_image(path)
    assert unusable.value.kind == "sixteen-bit"


def test_a_dark_image_of_eight_bits_is_one(tmp_path):
    path = tmp_path / "x.png"
    path.write_bytes(cv2.imencode(".png", np.full((30, 30, 3), 3, np.uint8))[1].tobytes())
    assert check_image(path).notes == ()


def test_first_frame_of_an_animation_is_used(tmp_path):
    first, second = (Image.new("RGB", (40, 30), color) for color in ("red", "blue"))
    first.save(tmp_path / "x.png", save_all=True, append_images=[second])
    found = cv2.imdecode(np.frombuffer(check_image(tmp_path / "x.png").data, np.uint8), cv2.IMREAD_COLOR)
    assert (found == (0, 0, 255)).all()


def test_pixel_limit_is_checked_before_decoding(tmp_path, monkeypatch):
    path = write_picture(tmp_path / "x.png")
    monkeypatch.setattr("pipeline.prepare.images.decode.MAX_PIXELS", SIZE[0] * SIZE[1])
    assert check_image(path).size == SIZE
    monkeypatch.setattr("pipeline.prepare.images.decode.MAX_PIXELS", SIZE[0] * SIZE[1] - 1)
    path.write_bytes(path.read_bytes()[:100])  # decoding it would report a truncated file
    with pytest.raises(
        UnusableImageError, match=r"96 x 80 pixels: more than 7,679 are not decoded"
    ) as unusable:
        check_image(path)
    assert unusable.value.kind == "giant-image"


def test_truncated_jpeg_is_rejected(jpeg):
    data = jpeg.read_bytes()
    for length in (len(data) - 1, len(data) - 2, len(data) - 20, len(data) // 2):
        jpeg.write_bytes(data[:length])
        with pytest.raises(UnusableImageError, match=r"damaged: .*truncated"):
            check_image(jpeg)


@pytest.mark.parametrize("thumbnail", [False, True])
def test_truncated_and_padded_jpeg_is_rejected(jpeg, thumbnail):
    data = jpeg.read_bytes()
    if thumbnail:  # which has its own end marker
        inner = data[:2] + b"\xff\xe1" + (len(data) + 2).to_bytes(2, "big") + data
        data = inner + data[2:]
        jpeg.write_bytes(data)
        assert check_image(jpeg).notes == ()
    jpeg.write_bytes(data[:-40] + b"\0" * 60)
    with pytest.raises(UnusableImageError, match="damaged: truncated, the mark of its end is missing"):
        check_image(jpeg)


def test_truncated_and_padded_jpeg_with_a_damaged_header_is_rejected(jpeg):
    """A decoder searches the next marker there; an end marker in a comment does not end the pixels."""
    data = jpeg.read_bytes()
    comment = b"\xff\xfe" + (8).to_bytes(2, "big") + b"ab\xff\xd9cd"
    spoilt = data[:20] + b"\x01\x02" + comment + data[20:]
    jpeg.write_bytes(spoilt)
    assert check_image(jpeg).notes == ()
    jpeg.write_bytes(spoilt[:-40] + b"\0" * 60)
    with pytest.raises(UnusableImageError, match="damaged: truncated, the mark of its end is missing"):
        check_image(jpeg)


def test_truncated_or_changed_png_is_rejected(tmp_path):
    path = write_picture(tmp_path / "x.png")
    data = path.read_bytes()
    for broken in (data[: len(data) // 2], data[:200] + b"\0" * 50 + data[250:]):
        path.write_bytes(broken)
        with pytest.raises(UnusableImageError, match=r"damaged|cannot be read"):
            check_image(path)


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"", "an empty file"), (b"no image at all", "not an image"), (b"<svg/>", "not an image")],
)
def test_missing_empty_and_other_files_are_rejected(tmp_path, data, reason):
    (tmp_path / "x.jpg").write_bytes(data)
    with pytest.raises(UnusableImageError, match=reason):
        check_image(tmp_path / "x.jpg")
    with pytest.raises(UnusableImageError, match="no such file"):
        check_image(tmp_path / "y.jpg")


def test_bytes_after_the_end_of_a_jpeg_are_cut_off(jpeg):
    data = jpeg.read_bytes()
    jpeg.write_bytes(data + b"trailer")
    found = check_image(jpeg)
    assert found.data == data
    assert [note.reason for note in found.notes] == ["7 bytes after the end of the JPEG cut off"]


def test_ultralytics_does_not_change_a_repaired_jpeg(jpeg, tmp_path):
    from ultralytics.data import utils as ultralytics_utils

    jpeg.write_bytes(jpeg.read_bytes() + b"trailer")
    repaired = tmp_path / "repaired.jpg"
    repaired.write_bytes(check_image(jpeg).data)
    before = repaired.read_bytes()
    assert ultralytics_utils.check_image(str(repaired)) == ("", SIZE[::-1])
    assert repaired.read_bytes() == before


def test_wrong_suffix_is_corrected(tmp_path):
    path = write_picture(tmp_path / "x.png").rename(tmp_path / "x.jpg")
    found = check_image(path)
    assert found.suffix == ".png"
    assert [note.reason for note in found.notes] == ["PNG contents under the suffix .jpg"]


def test_image_below_the_minimum_size_is_rejected(tmp_path):
    path = write_picture(tmp_path / "x.png", size=(40, 9))
    with pytest.raises(UnusableImageError, match="40 x 9 pixels: training leaves out"):
        check_image(path)


@pytest.mark.parametrize(
    ("orientation", "size"), [(1, (40, 30)), (3, (40, 30)), (6, (30, 40)), (8, (30, 40))]
)
def test_size_is_that_of_the_displayed_image(tmp_path, orientation, size):
    exif = Image.Exif()
    exif[274] = orientation
    file = io.BytesIO()
    Image.new("RGB", (40, 30), "red").save(file, "JPEG", exif=exif)
    (tmp_path / "x.jpg").write_bytes(file.getvalue())
    assert check_image(tmp_path / "x.jpg").size == size
    read = cv2.imdecode(np.frombuffer(file.getvalue(), np.uint8), cv2.IMREAD_COLOR)
    assert read.shape[1::-1] == size


SEEDS = {suffix: io.BytesIO() for suffix in (".jpg", ".png", ".gif", ".bmp", ".webp", ".tif")}
for suffix, file in SEEDS.items():
    Image.radial_gradient("L").resize((24, 20)).convert("RGB").save(
        file, Image.registered_extensions()[suffix]
    )
changes = st.lists(st.tuples(st.integers(0, 400), st.binary(max_size=5)), min_size=1, max_size=4)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.sampled_from(sorted(SEEDS)), changes)
def test_any_bytes_are_decodable_or_rejected_with_a_reason(tmp_path, suffix, changes):
    data = bytearray(SEEDS[suffix].getvalue())
    for place, new in changes:
        data[place : place + len(new) or None] = new  # an empty one cuts off the rest
    path = tmp_path / f"x{suffix}"
    path.write_bytes(data)
    with contextlib.suppress(UnusableImageError):
        found = check_image(path)
        whole = np.frombuffer(path.read_bytes() if found.original else found.data, np.uint8)
        shown = cv2.imdecode(whole, cv2.IMREAD_COLOR)
        assert shown.shape[1::-1] == found.size
