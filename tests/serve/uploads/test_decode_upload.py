"""Images are decoded as training decodes them; bombs and damaged ones are refused before."""

from __future__ import annotations

import io
import struct
import zlib
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image

from pipeline.serve.uploads.decode_upload import FORMATS, decode_upload, read_image_size
from pipeline.serve.uploads.limits import RequestError

PIXELS = np.random.default_rng(0).integers(0, 255, (20, 30, 3), dtype=np.uint8)
MOST = 10_000


def encode(form, image=None, **how):
    stream = io.BytesIO()
    (image or Image.fromarray(PIXELS)).save(stream, form, **how)
    return stream.getvalue()


def bomb(width, height):
    """Build a PNG whose header states a huge image, with the few bytes that would fill it."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def read(data):
    read_image_size(data, max_pixels=MOST)
    return decode_upload(data)


def refusal(function, data, **named):
    with pytest.raises(RequestError) as refused:
        function(data, **named)
    return refused.value.status


@pytest.mark.parametrize("form", FORMATS)
def test_the_formats_are_read_as_blue_green_red(form):
    how = (
        {"lossless": True} if form == "WEBP" else {"quality": 100, "subsampling": 0} if form == "JPEG" else {}
    )
    data = encode(form, **how)
    assert read_image_size(data, max_pixels=MOST) == (30, 20)
    assert np.abs(decode_upload(data).astype(int) - PIXELS[..., ::-1]).max() <= (0 if form != "JPEG" else 6)


def test_a_photograph_is_turned_as_its_exif_says():
    exif = Image.Exif()
    exif[274] = 6
    assert decode_upload(encode("JPEG", exif=exif)).shape == (30, 20, 3)


@pytest.mark.fault(1, "an image that would fill the memory is sent to the server")
@pytest.mark.parametrize("data", [bomb(60_000, 60_000), bomb(2**31 - 1, 2**31 - 1), encode("JPEG")])
def test_an_image_of_too_many_pixels_is_refused_before_it_is_decoded(data):
    assert refusal(read_image_size, data, max_pixels=599) == 413


def test_a_jpeg_of_very_many_scans_is_refused_before_it_is_decoded():
    data = encode("JPEG", progressive=True)
    start, end = data.rindex(b"\xff\xda"), data.rindex(b"\xff\xd9")
    assert refusal(read, data[:end] + data[start:end] * 500 + data[end:]) == 400
    assert read(data).shape == PIXELS.shape


@pytest.mark.parametrize("form", ["JPEG", "PNG", "BMP", "TIFF", "WEBP"])
def test_a_truncated_image_is_refused(form):
    data = encode(form)
    cut = data[: len(data) * 2 // 3] if form != "TIFF" else data[:600] + data[-200:]
    assert refusal(read, cut) == 400


def test_several_frames_are_refused():
    frames = {"save_all": True, "append_images": [Image.fromarray(255 - PIXELS)]}
    for form in ("WEBP", "TIFF", "PNG"):
        assert refusal(read_image_size, encode(form, **frames), max_pixels=MOST) == 400


@pytest.mark.parametrize(
    "data", [b"", b"no image", b"<svg/>", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"GIF89a" + bytes(40)]
)
def test_other_files_are_refused(data):
    assert refusal(read_image_size, data, max_pixels=MOST) == 400


def test_random_damage_is_decoded_or_refused():
    rng = np.random.default_rng(1)
    for form in FORMATS:
        data = np.frombuffer(encode(form), np.uint8)
        for _ in range(40):
            damaged = data.copy()
            damaged[rng.integers(0, len(data), 4)] = rng.integers(0, 256, 4)
            with suppress(RequestError):
                image = read(damaged.tobytes())
                assert image.shape[0] * image.shape[1] <= MOST


@pytest.mark.fault(10, "a TIFF whose tiles are far larger than its image")
@pytest.mark.parametrize(("side", "is_refused"), [(26_704, True), (256, False)])
def test_tiles_that_are_far_larger_than_the_image_are_refused(side, is_refused):
    tags = {256: 100, 257: 100, 258: 8, 259: 8, 262: 1, 277: 1, 322: side, 323: side, 324: 8, 325: 8}
    rows = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    data = b"II*\0" + struct.pack("<IQH", 16, 0, len(tags)) + rows + b"\0" * 4
    if is_refused:
        assert refusal(read_image_size, data, max_pixels=MOST) == 413
    else:
        assert read_image_size(data, max_pixels=MOST) == (100, 100)
