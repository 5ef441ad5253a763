"""TIFF files of many channels or pages: a finding says what they are."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from pipeline.prepare.images.decode import decode_image
from pipeline.prepare.images.errors import UnusableImageError
from pipeline.prepare.images.tiff_channels import count_tiff_channels


def write_tiff(channels, order="<", size=(24, 16)):
    """Return an uncompressed TIFF of so many channels of eight bits."""
    pixels = bytes(size[0] * size[1] * channels)
    bits = struct.pack(f"{order}{channels}H", *[8] * channels)
    extra = struct.pack(f"{order}{channels}H", *[0] * channels)
    rows = [(256, 4, 1, size[0]), (257, 4, 1, size[1]), (258, 3, channels, 8), (259, 3, 1, 1), (262, 3, 1, 1)]
    rows += [(273, 4, 1, 8 + len(bits) + len(extra)), (277, 3, 1, channels), (278, 4, 1, size[1])]
    rows += [(279, 4, 1, len(pixels)), (338, 3, channels - 1, 8 + len(bits))]
    entries = b"".join(
        struct.pack(f"{order}HHIHH", tag, kind, count, value, 0)
        if kind == 3 and count == 1
        else struct.pack(f"{order}HHII", tag, kind, count, value)
        for tag, kind, count, value in rows
    )
    mark = b"II*\0" if order == "<" else b"MM\0*"
    start = struct.pack(f"{order}I", 8 + len(bits) + len(extra) + len(pixels))
    return mark + start + bits + extra + pixels + struct.pack(f"{order}H", len(rows)) + entries + bytes(4)


@pytest.mark.parametrize("channels", [5, 10])
@pytest.mark.parametrize("order", ["<", ">"])
def test_tiff_of_many_channels_is_refused_with_their_number(channels, order):
    data = write_tiff(channels, order)
    assert count_tiff_channels(data) == channels
    with pytest.raises(UnusableImageError, match=rf"{channels} channels: convert it to three") as refused:
        decode_image(data, ".tif")
    assert refused.value.kind == "unsupported-format"


@pytest.mark.parametrize("cut", [0, 3, 6, 8, 4000])
def test_channels_of_a_damaged_file_are_not_known(cut):
    assert count_tiff_channels(write_tiff(10)[:cut]) is None
    assert count_tiff_channels(b"\x89PNG" + bytes(40)) is None


def test_tiff_of_several_pages_is_read_by_its_first_and_marked():
    pages = [Image.fromarray(np.full((16, 24, 3), 10 * n, np.uint8)) for n in range(1, 4)]
    buffer = io.BytesIO()
    pages[0].save(buffer, "TIFF", save_all=True, append_images=pages[1:])
    header, gray = decode_image(buffer.getvalue(), ".tif")
    assert header.multiple
    assert set(np.unique(gray)) == {10}
