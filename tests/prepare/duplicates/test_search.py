"""Search of near duplicates: copies that must be found, other pictures, known pairs, the limit of pairs."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.prepare.duplicates import search
from pipeline.prepare.duplicates.alignment import MIN_SIMILARITY, measure_similarity
from pipeline.prepare.duplicates.perceptual_hash import ORIENTATIONS, THUMBNAIL_SIDE, VECTOR_LENGTH
from pipeline.prepare.duplicates.search import (
    NO_PAIRS,
    DuplicatePairs,
    KnownPairs,
    PairBudget,
    TooManyPairsError,
    find_candidate_pairs,
    find_near_duplicates,
)
from pipeline.prepare.images.appearance import make_thumbnail, measure_appearance


def draw_picture(number: int, *, pixels: int = 256) -> np.ndarray:
    """Draw gray blobs on shading that all pictures share, so that they are similar but not the same."""
    rng = np.random.default_rng(number)
    image = np.full((pixels, pixels), 120, np.uint8) + np.linspace(0, 80, pixels).astype(np.uint8)
    for _ in range(25):
        center, radius = rng.integers(0, pixels, 2), int(rng.integers(6, 22))
        cv2.circle(image, center.tolist(), radius, int(rng.integers(20, 255)), -1)
    return cv2.GaussianBlur(image, (3, 3), 0)


def find_pairs(*images: np.ndarray) -> list[tuple[int, int, int]]:
    thumbnails = np.frombuffer(b"".join(map(make_thumbnail, images)), np.uint8)
    found = find_near_duplicates(thumbnails.reshape(-1, THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    return list(zip(*(column.tolist() for column in found), strict=True))


def encode_jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    return cv2.imdecode(
        cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_GRAYSCALE
    )


COPIES = {
    "half": lambda image: cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
    "wide": lambda image: cv2.resize(image, (300, 200)),
    "jpeg": lambda image: encode_jpeg(image, 30),
    "cropped": lambda image: image[10:, 5:-8],
    "brighter": lambda image: np.clip(image * 1.2 + 10, 0, 255).astype(np.uint8),
    "darker": lambda image: (image * 0.6).astype(np.uint8),
    "all": lambda image: encode_jpeg((image[7:-5, ::-1][:, 6:] * 0.8).astype(np.uint8), 60),
}


@pytest.mark.parametrize("kind", COPIES)
def test_copy_is_found_and_no_other_picture(kind):
    others = [draw_picture(number) for number in range(1, 30)]
    found = find_pairs(draw_picture(0), *others, COPIES[kind](draw_picture(0)))
    assert [(first, second) for first, second, _ in found] == [(0, 30)]


@pytest.mark.parametrize("number", range(len(ORIENTATIONS)))
def test_each_orientation_is_found(number):
    orientation = ORIENTATIONS[number]
    image = draw_picture(0).T if orientation.transposed else draw_picture(0)
    assert find_pairs(
        draw_picture(0), image[:: -1 if orientation.flipud else 1, :: -1 if orientation.fliplr else 1]
    ) == [(0, 1, number)]


def test_same_scene_with_other_objects_is_not_a_copy():
    """Two microscope fields, or two circuit boards: they share shading and half of the objects."""
    one, other = draw_picture(0), draw_picture(0)
    half = draw_picture(1)
    other[:, 128:] = half[:, 128:]
    assert find_pairs(one, other) == []


def test_blank_images_are_not_copies():
    assert (
        find_pairs(
            np.zeros((64, 64), np.uint8), np.full((80, 80), 255, np.uint8), np.zeros((40, 40), np.uint8)
        )
        == []
    )


def test_tiny_image_has_no_thumbnail():
    assert measure_appearance(draw_picture(0)[:31]).thumbnail == b""
    assert len(measure_appearance(draw_picture(0)[:32]).thumbnail) == THUMBNAIL_SIDE * THUMBNAIL_SIDE
    strip = np.tile(draw_picture(0)[:60], (1, 20))
    assert strip.shape[1] / 60 > 20  # scaled for the comparison, it is lower than 32 pixels
    assert len(measure_appearance(strip).thumbnail) == THUMBNAIL_SIDE * THUMBNAIL_SIDE


def test_no_image_or_one_image_gives_no_pair():
    assert find_pairs() == []
    assert find_pairs(draw_picture(0)) == []


@settings(max_examples=10)
@given(st.integers(2, 200), st.integers(0, 1000))
def test_pairs_are_found_across_block_edges(count, seed):
    """The two images of a pair may be in different blocks."""
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((count, VECTOR_LENGTH)).astype(np.float32)
    first, second = sorted(rng.choice(count, 2, replace=False).tolist())
    vectors[second] = vectors[first]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    found = [pair for pairs in find_candidate_pairs(vectors) for pair in zip(*pairs, strict=True)]
    assert found == [(first, second, 0)]


def test_alignment_finds_the_place_of_a_crop():
    whole = cv2.resize(
        draw_picture(3), (THUMBNAIL_SIDE, THUMBNAIL_SIDE), interpolation=cv2.INTER_AREA
    ).astype(np.float32)
    part = cv2.resize(
        draw_picture(3)[16:-4, 4:-16], (THUMBNAIL_SIDE, THUMBNAIL_SIDE), interpolation=cv2.INTER_AREA
    ).astype(np.float32)
    unaligned = np.corrcoef(whole.ravel(), part.ravel())[0, 1]
    aligned = measure_similarity(whole[None], part[None])[0]
    assert unaligned < 0.77 < MIN_SIMILARITY < aligned


def test_similarity_of_images_without_detail_is_zero():
    flat = np.full((1, THUMBNAIL_SIDE, THUMBNAIL_SIDE), 7, np.float32)
    assert measure_similarity(flat, flat) == pytest.approx(0, abs=1e-3)


def draw_thumbnails_with_copies(seed: int, count: int) -> np.ndarray:
    """Draw thumbnails, many of them copies of others: brighter, mirrored, shifted, blank."""
    rng = np.random.default_rng(seed)
    kinds = [
        lambda image: np.clip(image * 1.2 + 10, 0, 255),
        lambda image: image[:, ::-1],
        lambda image: image[4:, 3:].T,
        np.zeros_like,
    ]
    images = [kinds[rng.integers(4)](draw_picture(int(rng.integers(count // 3 + 1)))) for _ in range(count)]
    thumbnails = b"".join(make_thumbnail(np.ascontiguousarray(image, np.uint8)) for image in images)
    return np.frombuffer(thumbnails, np.uint8).reshape(-1, THUMBNAIL_SIDE, THUMBNAIL_SIDE)


def select_among(pairs: DuplicatePairs, among: np.ndarray) -> DuplicatePairs:
    return pairs.select(among[pairs.first] & among[pairs.second])


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 24), st.data())
def test_search_with_known_pairs_equals_a_full_search(seed, count, data):
    thumbnails = draw_thumbnails_with_copies(seed, count)
    whole = find_near_duplicates(thumbnails)
    among = np.array(data.draw(st.lists(st.booleans(), min_size=count, max_size=count)))
    known = KnownPairs(among, select_among(whole, among))
    again = find_near_duplicates(thumbnails, known)
    assert [column.tolist() for column in again] == [column.tolist() for column in whole]


def test_search_stops_if_too_many_images_are_similar(monkeypatch):
    still = [draw_picture(0) for _ in range(12)]
    for number, image in enumerate(still):
        image[:9, 9 * number : 9 * number + 9] = 255
    assert len(find_pairs(*still)) == 66
    monkeypatch.setattr(search, "MAX_ALIGNED_PAIRS", 30)
    with pytest.raises(TooManyPairsError) as error:
        find_pairs(*still)
    assert error.value.args == (66,)


def test_known_pairs_are_not_compared_again():
    thumbnails = draw_thumbnails_with_copies(1, 200)
    known = KnownPairs(np.arange(200) != 77, NO_PAIRS)
    found = find_near_duplicates(thumbnails, known)
    assert len(found.first)
    assert set((found.first == 77) | (found.second == 77)) == {True}
    assert not len(find_near_duplicates(thumbnails, known._replace(compared=np.ones(200, np.bool_))).first)


def test_many_similar_pairs_at_the_beginning_are_not_extrapolated():
    budget = PairBudget(total=1_000_000, limit=1000)
    budget.add(similar=90)
    budget.add(compared=50_000)
    for _ in range(95):
        budget.add(similar=1)
        budget.add(compared=10_000)


def test_pairs_are_extrapolated_from_a_tenth_of_the_search():
    budget = PairBudget(total=1_000_000, limit=1000)
    budget.add(similar=200)
    budget.add(compared=90_000)
    with pytest.raises(TooManyPairsError) as error:
        budget.add(compared=10_000)
    assert error.value.args == (2000,)


def test_search_stops_as_soon_as_the_limit_is_exceeded():
    budget = PairBudget(total=1_000_000, limit=1000)
    budget.add(similar=1000)
    with pytest.raises(TooManyPairsError) as error:
        budget.add(similar=1)
    assert error.value.args == (1001,)
