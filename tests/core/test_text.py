"""Numbers with nouns in the singular and plural."""

import pytest

from pipeline.core.text import format_count


@pytest.mark.parametrize(
    ("number", "words", "said"),
    [
        (0, ["image"], "0 images"),
        (1, ["image"], "1 image"),
        (2, ["image"], "2 images"),
        (1, ["class"], "1 class"),
        (2, ["class"], "2 classes"),
        (2, ["box"], "2 boxes"),
        (2, ["copy"], "2 copies"),
        (1, ["image is", "images are"], "1 image is"),
        (3, ["image is", "images are"], "3 images are"),
    ],
)
def test_count_is_formatted_with_singular_or_plural(number, words, said):
    assert format_count(number, *words) == said
