"""Count the channels of a TIFF file that no decoder reads, to say why."""

from __future__ import annotations

import struct
from typing import Final

_ORDER_BY_MARK: Final = {b"II*\0": "<", b"MM\0*": ">"}
_SAMPLES_PER_PIXEL: Final = 277
_ENTRY_BYTES: Final = 12


def count_tiff_channels(data: bytes) -> int | None:
    """Return the channels of the first page of a TIFF file; None if the data is none, or is damaged."""
    order = _ORDER_BY_MARK.get(data[:4])
    if order is None:
        return None
    try:
        (start,) = struct.unpack_from(f"{order}I", data, 4)
        (count,) = struct.unpack_from(f"{order}H", data, start)
        places = [start + 2 + number * _ENTRY_BYTES for number in range(count)]
        tags = [struct.unpack_from(f"{order}H", data, place)[0] for place in places]
        values = [struct.unpack_from(f"{order}H", data, place + 8)[0] for place in places]
    except struct.error:
        return None
    found = dict(zip(tags, values, strict=True)).get(_SAMPLES_PER_PIXEL)
    return None if found is None else int(found)
