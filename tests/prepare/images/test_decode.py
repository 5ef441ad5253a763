"""A JPEG or PNG that only OpenCV decodes gets the same verdict as from OpenCV and Pillow together."""

import io
import os
import random
import resource
import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, UnidentifiedImageError

from pipeline.prepare.images.decode import MAX_PIXELS, decode_image
from pipeline.prepare.images.errors import UnusableImageError

SCENE = Image.fromarray(
    cv2.resize(np.random.default_rng(0).integers(0, 255, (12, 16, 3), np.uint8), (128, 96))
)


def turned_exif():
    exif = Image.Exif()
    exif[274] = 6
    return {"exif": exif}


JPEGS = {
    "plain": (SCENE, {}),
    "progressive": (SCENE, {"progressive": True}),
    "restarts": (SCENE, {"restart_marker_blocks": 2}),
    "fine": (SCENE, {"subsampling": 0, "quality": 97}),
    "gray": (SCENE.convert("L"), {}),
    "cmyk": (SCENE.convert("CMYK"), {}),
    "turned": (SCENE, turned_exif()),
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


def encode(name):
    image, options = {**JPEGS, **PNGS}[name]
    buffer = io.BytesIO()
    image.save(buffer, **{"format": "JPEG", **options})
    return buffer.getvalue()


def split_chunks(data):
    """Split a PNG into its chunks."""
    at = 8
    while at < len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4])
        yield data[at + 4 : at + 8], data[at + 8 : end]
        at = end + 4


def join_chunks(chunks):
    """Join chunks to a PNG with correct checksums."""
    parts = (
        len(content).to_bytes(4) + name + content + zlib.crc32(name + content).to_bytes(4)
        for name, content in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def damage_chunk(data, rng):
    """Damage the content of one chunk of a PNG, and give all chunks correct checksums."""
    chunks = [*split_chunks(data)]
    chosen = rng.choice([number for number, (_, content) in enumerate(chunks) if content])
    name, content = chunks[chosen]
    chunks[chosen] = name, rng.choice([*DAMAGE.values()])(content, rng.randrange(len(content)), rng)
    return join_chunks(chunks)


def decode_with_both_libraries(data):
    """Return the size if both libraries decode the whole image, else the kind of finding."""
    try:
        with Image.open(io.BytesIO(data), formats=["JPEG", "PNG"]) as image:
            if image.width * image.height > MAX_PIXELS:
                return "giant-image"
            image.load()
    except (UnidentifiedImageError, ModuleNotFoundError):  # Ultralytics patches Pillow to import pi_heif
        return "unreadable-image"
    except Exception as error:
        return "truncated-image" if "truncated" in str(error).lower() else "damaged-image"
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return "unreadable-image" if pixels is None else pixels.shape[:2]


def decode_or_reject(data):
    try:
        return decode_image(data, ".jpg")[1].shape
    except UnusableImageError as error:
        return error.kind


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [*JPEGS, *PNGS])
@pytest.mark.parametrize("damage", DAMAGE)
def test_verdict_on_damage_equals_that_of_both_libraries(name, damage, capfd):
    whole, rng = encode(name), random.Random(f"{name} {damage}")
    assert decode_or_reject(whole) == decode_with_both_libraries(whole)
    assert sorted(decode_or_reject(whole)) == [96, 128]
    for _ in range(15):
        data = DAMAGE[damage](whole, rng.randrange(len(whole)), rng)
        assert decode_or_reject(data) == decode_with_both_libraries(data)
    capfd.readouterr()  # drop the warnings of the libraries


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", PNGS)
def test_damaged_png_with_correct_checksums_is_noticed(name, capfd):
    whole, rng = encode(name), random.Random(name)
    for _ in range(60):
        data = damage_chunk(whole, rng)
        assert decode_or_reject(data) == decode_with_both_libraries(data)
    capfd.readouterr()


@pytest.mark.parametrize("after_pixels", [False, True], ids=["before the pixels", "after them"])
def test_orientation_of_a_png_is_read_before_and_after_the_pixels(after_pixels):
    buffer = io.BytesIO()
    SCENE.save(buffer, "PNG", **turned_exif())
    chunks = dict(split_chunks(buffer.getvalue()))
    exif = chunks.pop(b"eXIf")
    parts = [*chunks.items()]
    parts.insert(-1 if after_pixels else 1, (b"eXIf", exif))
    data = join_chunks(parts)
    assert decode_image(data, ".png")[0].turned


@pytest.mark.parametrize("name", ["plain", "gray", "turned", "progressive"])
def test_gray_image_equals_the_color_image_in_gray(name):
    data = encode(name)
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    off = cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY).astype(int) - decode_image(data, ".jpg")[1]
    assert np.abs(off).mean() < 1


def measure_peak_memory():
    """Return the peak memory of this process in MB (Linux counts kilobytes)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def test_png_chunk_longer_than_the_file_is_rejected_without_allocation(capfd):
    """Pillow would read the pixels; OpenCV would first allocate two gigabytes, and then fail."""
    data = encode("png")
    at = data.index(b"IDAT") - 4
    before = measure_peak_memory()
    assert decode_or_reject(data[:at] + b"\x7f\xff\xff\xff" + data[at + 4 :]) == "unreadable-image"
    assert measure_peak_memory() - before < 100
    capfd.readouterr()


DECODE_WITH_LITTLE_MEMORY = """
import resource, sys
import cv2
from pipeline.prepare.images.decode import decode_image
data = open(sys.argv[1], "rb").read()
used = next(int(line.split()[1]) << 10 for line in open("/proc/self/status") if line.startswith("VmSize"))
resource.setrlimit(resource.RLIMIT_AS, (used + (60 << 20),) * 2)
try:
    decode_image(data, ".jpg")
except Exception as error:
    print(type(error).__name__)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
@pytest.mark.fault(13, "limits of memory, threads, files (ulimit)")
@pytest.mark.parametrize(("side", "raised"), [(6000, "MemoryError"), (60, "UnusableImageError")])
def test_too_little_memory_is_not_said_to_be_damage(tmp_path, side, raised):
    """The image would be quarantined, and recorded as such under the fingerprint of its source."""
    file = tmp_path / "a.jpg"
    cv2.imwrite(str(file), np.full((side, side), 127, np.uint8))
    if side == 60:
        file.write_bytes(file.read_bytes()[:-200])
    done = subprocess.run(
        [sys.executable, "-c", DECODE_WITH_LITTLE_MEMORY, file],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == raised, done.stderr
