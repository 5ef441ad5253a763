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
        (1, ["image lies", "images lie"], "1 image lies"),
        (3, ["image lies", "images lie"], "3 images lie"),
    ],
)
def test_one_and_several(number, words, said):
    assert format_count(number, *words) == said
