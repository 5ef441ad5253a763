"""Run-length encoding of masks: the same letters as pycocotools' format, and the same pixels back."""

import numpy as np
import pytest
from faster_coco_eval.core import mask as reference

from pipeline.core.geometry.masks import ObjectMask
from pipeline.core.geometry.run_lengths import decode_mask, encode_masks

SIZE = (23, 17)


def fill(mask, size=SIZE):
    whole = np.zeros(size[::-1], np.uint8)
    height, width = mask.pixels.shape
    whole[mask.top : mask.top + height, mask.left : mask.left + width] = mask.pixels
    return whole


def random_masks():
    """Blobs of all densities, in all places: at each edge, over whole columns, and over the whole image."""
    rng = np.random.default_rng(0)
    for number in range(200):
        left, top = rng.integers(0, SIZE)
        width, height = rng.integers(1, np.array(SIZE) - [left, top] + 1)
        yield ObjectMask(int(left), int(top), rng.random((height, width)) < number / 199)
    yield ObjectMask(3, 0, np.ones((SIZE[1], 4), bool))
    yield ObjectMask(0, 0, np.ones(SIZE[::-1], bool))
    yield ObjectMask(0, 0, np.zeros((0, 0), bool))


def test_masks_are_encoded_as_by_the_reference():
    masks = list(random_masks())
    expected = [reference.encode(np.asfortranarray(fill(mask)))["counts"] for mask in masks]
    assert encode_masks(masks, SIZE) == [
        counts.decode() if isinstance(counts, bytes) else counts for counts in expected
    ]


def test_decoded_masks_have_the_same_pixels_and_are_cropped():
    masks = list(random_masks())
    for mask, counts in zip(masks, encode_masks(masks, SIZE), strict=True):
        decoded = decode_mask(counts, SIZE)
        np.testing.assert_array_equal(fill(decoded), fill(mask))
        if decoded.pixels.size:
            assert decoded.pixels.any(axis=0)[[0, -1]].all()
            assert decoded.pixels.any(axis=1)[[0, -1]].all()


def test_large_counts_are_kept():
    size = (60_000, 50_000)
    mask = ObjectMask(59_990, 49_990, np.eye(10, dtype=bool))
    counts = encode_masks([mask], size)[0]
    assert decode_mask(counts[:-1] + counts[-1], size).left == 59_990


def test_no_masks_give_no_texts():
    assert encode_masks([], SIZE) == []


@pytest.mark.parametrize("text", ["", "P", "\x10", "~~", "1", "PPPPPPPPPPP0", "11111"])
def test_text_that_is_no_mask_of_the_size_is_refused(text):
    with pytest.raises(ValueError, match=r"mask|encoding"):
        decode_mask(text, SIZE)
