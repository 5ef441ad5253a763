"""The place of an encoded image inside a larger file, such as a TFRecord file."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EmbeddedSpan:
    """The bytes of one image in a file that holds many: only these are read.

    It is called as `AnnotatedImage.load` is, with the bytes that were read.

    Attributes:
        offset: Where the image begins in the file.
        length: Its length in bytes.
    """

    offset: int
    length: int

    def __call__(self, contents: bytes) -> bytes:
        """Return the image."""
        return contents
