"""A JPEG or PNG is decoded once, by OpenCV: the verdict must be that of both, in all its colours."""

import io
import random
import resource
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image, UnidentifiedImageError

from pipeline.prepare.images import decode
from pipeline.prepare.images.decode import LARGEST, UnusableImageError

SCENE = Image.fromarray(
    cv2.resize(np.random.default_rng(0).integers(0, 255, (12, 16, 3), np.uint8), (128, 96))
)


def turned():
    exif = Image.Exif()
    exif[274] = 6
    return {"exif": exif}


JPEGS = {
    "plain": (SCENE, {}),
    "progressive": (SCENE, {"progressive": True}),
    "restarts": (SCENE, {"restart_marker_blocks": 2}),
    "fine": (SCENE, {"subsampling": 0, "quality": 97}),
    "grey": (SCENE.convert("L"), {}),
    "cmyk": (SCENE.convert("CMYK"), {}),
    "turned": (SCENE, turned()),
    "two": (SCENE, {"format": "MPO", "save_all": True, "append_images": [SCENE]}),
}
PNGS = {
    "png": (SCENE, {"format": "PNG"}),
    "png, palette": (SCENE.convert("P"), {"format": "PNG", "dpi": (96, 96)}),
    "png, clear": (SCENE.convert("RGBA"), {"format": "PNG"}),
    "png, moving": (SCENE, {"format": "PNG", "save_all": True, "append_images": [SCENE.rotate(90)]}),
}
DAMAGE = {
    "cut": lambda data, at, _: data[:at],
    "cut, ended": lambda data, at, _: data[:at] + b"\xff\xd9",
    "a byte": lambda data, at, rng: data[:at] + rng.randbytes(1) + data[at + 1 :],
    "left out": lambda data, at, rng: data[:at] + data[at + rng.randrange(1, 200) :],
    "twice": lambda data, at, rng: data[: at + rng.randrange(1, 100)] + data[at:],
    "zeros": lambda data, at, rng: data[:at] + bytes(length := rng.randrange(1, 200)) + data[at + length :],
}


def saved(name):
    image, options = {**JPEGS, **PNGS}[name]
    buffer = io.BytesIO()
    image.save(buffer, **{"format": "JPEG", **options})
    return buffer.getvalue()


def chunks_of(data):
    """Take a PNG apart."""
    at = 8
    while at < len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4])
        yield data[at + 4 : at + 8], data[at + 8 : end]
        at = end + 4


def png_of(chunks):
    """Put a PNG together, with right checksums."""
    parts = (
        len(held).to_bytes(4) + name + held + zlib.crc32(name + held).to_bytes(4) for name, held in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def rewritten(data, rng):
    """Damage what one chunk of a PNG holds, and give all chunks the checksums that they should have."""
    chunks = [*chunks_of(data)]
    chosen = rng.choice([number for number, (_, held) in enumerate(chunks) if held])
    name, held = chunks[chosen]
    chunks[chosen] = name, rng.choice([*DAMAGE.values()])(held, rng.randrange(len(held)), rng)
    return png_of(chunks)


def verdict_in_colour(data):
    """The size where both libraries decode the whole of it, or else what is wrong."""
    try:
        with Image.open(io.BytesIO(data), formats=["JPEG", "PNG"]) as image:
            if image.width * image.height > LARGEST:
                return "giant-image"
            image.load()
    except (UnidentifiedImageError, ModuleNotFoundError):  # Pillow as Ultralytics changes it seeks pi_heif
        return "unreadable-image"
    except Exception as error:
        return "truncated-image" if "truncated" in str(error).lower() else "damaged-image"
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return "unreadable-image" if pixels is None else pixels.shape[:2]


def verdict(data):
    try:
        return decode.decode(data, ".jpg")[1].shape
    except UnusableImageError as error:
        return error.kind


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [*JPEGS, *PNGS])
@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_noticed_as_by_both_libraries_in_colour(name, damage, capfd):
    whole, rng = saved(name), random.Random(f"{name} {damage}")
    assert verdict(whole) == verdict_in_colour(whole)
    assert sorted(verdict(whole)) == [96, 128]
    for _ in range(15):
        data = DAMAGE[damage](whole, rng.randrange(len(whole)), rng)
        assert verdict(data) == verdict_in_colour(data)
    capfd.readouterr()  # the libraries' remarks


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", PNGS)
def test_a_png_with_right_checksums_of_what_is_damaged_is_noticed_too(name, capfd):
    whole, rng = saved(name), random.Random(name)
    for _ in range(60):
        data = rewritten(whole, rng)
        assert verdict(data) == verdict_in_colour(data)
    capfd.readouterr()


@pytest.mark.parametrize("behind", [False, True], ids=["before the pixels", "behind them"])
def test_a_png_that_is_shown_turned_is_noticed_wherever_it_says_so(behind):
    buffer = io.BytesIO()
    SCENE.save(buffer, "PNG", **turned())
    chunks = dict(chunks_of(buffer.getvalue()))
    exif = chunks.pop(b"eXIf")
    parts = [*chunks.items()]
    parts.insert(-1 if behind else 1, (b"eXIf", exif))
    data = png_of(parts)
    assert decode.decode(data, ".png")[0].turned


@pytest.mark.parametrize("name", ["plain", "grey", "turned", "progressive"])
def test_the_greys_are_those_of_the_colours(name):
    data = saved(name)
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    off = cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY).astype(int) - decode.decode(data, ".jpg")[1]
    assert np.abs(off).mean() < 1


def peak():
    """Return the most memory that this process has filled, in MB (Linux counts kilobytes)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def test_a_png_chunk_that_claims_more_than_the_file_holds_gets_no_memory(capfd):
    """Pillow reads pixels that are all there; OpenCV fails for want of two gigabytes, having filled them."""
    data = saved("png")
    at = data.index(b"IDAT") - 4
    before = peak()
    assert verdict(data[:at] + b"\x7f\xff\xff\xff" + data[at + 4 :]) == "unreadable-image"
    assert peak() - before < 100
    capfd.readouterr()
