import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.prepare.duplicates import alignment, search
from pipeline.prepare.duplicates.alignment import SAME
from pipeline.prepare.duplicates.budget import TooManyPairsError
from pipeline.prepare.duplicates.search import LENGTH, NO_PAIRS, SIDE, TURNS, DuplicatePairs, KnownPairs
from pipeline.prepare.images import appearance


def picture(number: int, *, pixels: int = 256) -> np.ndarray:
    """Draw grey blobs over shading that all pictures share, so that they look alike but are not the same."""
    rng = np.random.default_rng(number)
    image = np.full((pixels, pixels), 120, np.uint8) + np.linspace(0, 80, pixels).astype(np.uint8)
    for _ in range(25):
        centre, radius = rng.integers(0, pixels, 2), int(rng.integers(6, 22))
        cv2.circle(image, centre.tolist(), radius, int(rng.integers(20, 255)), -1)
    return cv2.GaussianBlur(image, (3, 3), 0)


def find(*images: np.ndarray) -> list[tuple[int, int, int]]:
    thumbnails = np.frombuffer(b"".join(map(appearance.signature, images)), np.uint8)
    found = search.find(thumbnails.reshape(-1, SIDE, SIDE))
    return list(zip(*(column.tolist() for column in found), strict=True))


def encoded(image: np.ndarray, quality: int) -> np.ndarray:
    return cv2.imdecode(
        cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_GRAYSCALE
    )


COPIES = {
    "half": lambda image: cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
    "wide": lambda image: cv2.resize(image, (300, 200)),
    "jpeg": lambda image: encoded(image, 30),
    "cropped": lambda image: image[10:, 5:-8],
    "brighter": lambda image: np.clip(image * 1.2 + 10, 0, 255).astype(np.uint8),
    "darker": lambda image: (image * 0.6).astype(np.uint8),
    "all": lambda image: encoded((image[7:-5, ::-1][:, 6:] * 0.8).astype(np.uint8), 60),
}


@pytest.mark.parametrize("kind", COPIES)
def test_a_copy_is_found_and_no_other_picture(kind):
    others = [picture(number) for number in range(1, 30)]
    found = find(picture(0), *others, COPIES[kind](picture(0)))
    assert [(first, second) for first, second, _ in found] == [(0, 30)]


@pytest.mark.parametrize("number", range(len(TURNS)))
def test_each_of_the_eight_turns_is_found_and_named(number):
    turn = TURNS[number]
    image = picture(0).T if turn.transposed else picture(0)
    assert find(picture(0), image[:: -1 if turn.flipud else 1, :: -1 if turn.fliplr else 1]) == [
        (0, 1, number)
    ]


def test_the_same_field_with_other_objects_is_no_copy():
    """Two microscope fields, two boards: shading and half of the objects are shared."""
    one, other = picture(0), picture(0)
    half = picture(1)
    other[:, 128:] = half[:, 128:]
    assert find(one, other) == []


def test_blank_images_are_copies_of_nothing():
    assert (
        find(np.zeros((64, 64), np.uint8), np.full((80, 80), 255, np.uint8), np.zeros((40, 40), np.uint8))
        == []
    )


def test_a_tiny_image_leaves_no_thumbnail():
    assert appearance.signature(picture(0)[:31]) == b""
    assert len(appearance.signature(picture(0)[:32])) == SIDE * SIDE


def test_no_image_and_one_make_no_pair():
    assert find() == []
    assert find(picture(0)) == []


@settings(max_examples=10)
@given(st.integers(2, 200), st.integers(0, 1000))
def test_pairs_are_found_wherever_they_stand(count, seed):
    """Blocks have edges: a pair may lie across them."""
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((count, LENGTH)).astype(np.float32)
    first, second = sorted(rng.choice(count, 2, replace=False).tolist())
    vectors[second] = vectors[first]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    found = [pair for pairs in search.candidates(vectors) for pair in zip(*pairs, strict=True)]
    assert found == [(first, second, 0)]


def test_alignment_finds_the_place_of_a_crop():
    whole = cv2.resize(picture(3), (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    part = cv2.resize(picture(3)[16:-4, 4:-16], (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    as_they_are = np.corrcoef(whole.ravel(), part.ravel())[0, 1]
    laid_over = alignment.likeness(whole[None], part[None])[0]
    assert as_they_are < 0.77 < SAME < laid_over


def test_alignment_of_images_without_detail_is_nought():
    flat = np.full((1, SIDE, SIDE), 7, np.float32)
    assert alignment.likeness(flat, flat) == pytest.approx(0, abs=1e-3)


def crowd(seed: int, count: int) -> np.ndarray:
    """Draw thumbnails of which many are copies of others: brighter, mirrored, moved by some pixels, blank."""
    rng = np.random.default_rng(seed)
    kinds = [
        lambda image: np.clip(image * 1.2 + 10, 0, 255),
        lambda image: image[:, ::-1],
        lambda image: image[4:, 3:].T,
        np.zeros_like,
    ]
    looks = [kinds[rng.integers(4)](picture(int(rng.integers(count // 3 + 1)))) for _ in range(count)]
    shown = b"".join(appearance.signature(np.ascontiguousarray(look, np.uint8)) for look in looks)
    return np.frombuffer(shown, np.uint8).reshape(-1, SIDE, SIDE)


def some(pairs: DuplicatePairs, among: np.ndarray) -> DuplicatePairs:
    return pairs.at(among[pairs.first] & among[pairs.second])


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 24), st.data())
def test_a_search_that_knows_some_pairs_finds_what_a_full_one_finds(seed, count, data):
    thumbnails = crowd(seed, count)
    whole = search.find(thumbnails)
    among = np.array(data.draw(st.lists(st.booleans(), min_size=count, max_size=count)))
    known = KnownPairs(among, some(whole, among))
    again = search.find(thumbnails, known)
    assert [column.tolist() for column in again] == [column.tolist() for column in whole]


def test_where_too_many_look_alike_the_search_stops_before_it_takes_hours(monkeypatch):
    still = [picture(0) for _ in range(12)]
    for number, image in enumerate(still):
        image[:9, 9 * number : 9 * number + 9] = 255
    assert len(find(*still)) == 66
    monkeypatch.setattr(search, "MOST", 30)
    with pytest.raises(TooManyPairsError) as crowd:
        find(*still)
    assert crowd.value.args == (66,)


def test_what_is_known_is_not_compared_again():
    thumbnails = crowd(1, 200)
    known = KnownPairs(np.arange(200) != 77, NO_PAIRS)
    found = search.find(thumbnails, known)
    assert len(found.first)
    assert set((found.first == 77) | (found.second == 77)) == {True}
    assert not len(search.find(thumbnails, known._replace(among=np.ones(200, np.bool_))).first)
