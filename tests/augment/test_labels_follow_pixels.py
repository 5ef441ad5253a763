"""What was drawn must be where its label says, after each transform and for each task.

An object is drawn as pixels, image and label are transformed apart from each other, and what is found of the
object is held against the label. Tolerance: `NEAR` pixels about an edge, where a pixel is covered in part,
is interpolated once, and is read at half of its brightness.
"""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.augment import affine, copy_paste, transform_image
from pipeline.augment.copy_paste import COVERED
from pipeline.augment.parameters import AugmentationParameters, AugmentationRanges
from pipeline.augment.plan_copy import CopyRules, _follow
from pipeline.core.geometry import polygons
from pipeline.core.tasks import Keypoints
from pipeline.dataset.labels import ImageLabels, around

WIDTH, HEIGHT = 96, 72
EXTENT = WIDTH, HEIGHT
NEAR = 1.25
SHARE = st.floats(0, 1)
TRANSFORMS = {
    "flip left-right": st.just(AugmentationParameters(fliplr=True)),
    "flip up-down": st.just(AugmentationParameters(flipud=True)),
    "both flips": st.just(AugmentationParameters(fliplr=True, flipud=True)),
    "rotation": st.builds(AugmentationParameters, rotate=st.floats(-180, 180)),
    "scale": st.builds(AugmentationParameters, scale=st.floats(0.6, 1.6)),
    "crop": st.builds(AugmentationParameters, crop=st.floats(0.01, 0.6), left=SHARE, top=SHARE),
    "contrast": st.builds(AugmentationParameters, contrast=st.floats(0.6, 1.5)),
    "brightness": st.builds(AugmentationParameters, brightness=st.floats(-0.2, 0.2)),
    "blur": st.builds(AugmentationParameters, blur=st.floats(0.1, 0.8)),
    "noise": st.builds(AugmentationParameters, noise=st.floats(0.01, 0.05)),
    "all at once": st.builds(
        AugmentationParameters,
        fliplr=st.booleans(),
        flipud=st.booleans(),
        rotate=st.floats(-180, 180),
        scale=st.floats(0.7, 1.4),
        crop=st.floats(0, 0.4),
        left=SHARE,
        top=SHARE,
        contrast=st.floats(0.8, 1.2),
        brightness=st.floats(-0.1, 0.1),
        noise=st.floats(0, 0.05),
    ),
}
STILL = AugmentationRanges(1, 0, 0, 0, 0, 0, 0, 0, 0, 0)
EACH = pytest.mark.parametrize("transform", TRANSFORMS)
QUICK = settings(max_examples=12, deadline=None)
PLACES = np.stack(np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5), axis=-1)


@st.composite
def stars(draw):
    """An outline, mostly concave: rays of any length about a centre, clear of the image's edges."""
    rays = draw(st.lists(st.floats(0.35, 1.0), min_size=4, max_size=9))
    x, y = draw(st.floats(26, WIDTH - 26)), draw(st.floats(26, HEIGHT - 26))
    angles = np.linspace(0, 2 * np.pi, len(rays), endpoint=False) + draw(st.floats(0, 6))
    return np.array([x, y]) + 24 * np.array(rays)[:, None] * np.stack(
        [np.cos(angles), np.sin(angles)], axis=1
    )


@st.composite
def bars(draw):
    """A rotated box of 8 x 8 pixels and more; an edge of the image may cut it."""
    half = np.array([draw(st.floats(8, 20)), draw(st.floats(4, 12))])
    angle = draw(st.floats(0, np.pi))
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    centre = np.array([draw(st.floats(4, WIDTH - 4)), draw(st.floats(4, HEIGHT - 4))])
    return centre + (np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half) @ turn


def filled(ring, colour=(255, 255, 255), image=None):
    """Paint what a ring encloses, each pixel by the share of 4 x 4 points that is covered."""
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8) if image is None else image
    fine = (np.arange(4) + 0.5) / 4
    x, y = (np.add.outer(np.arange(count), fine).ravel() for count in (WIDTH, HEIGHT))
    inside = shapely.contains_xy(shapely.Polygon(ring), *np.meshgrid(x, y))
    share = inside.reshape(HEIGHT, 4, WIDTH, 4).mean(axis=(1, 3))[..., None]
    return np.rint(image * (1 - share) + np.array(colour) * share).astype(np.uint8)


def outlined(ring):
    return ImageLabels(np.array([3]), around((ring / EXTENT,)), (ring / EXTENT,))


def found(image, recipe):
    """Transform a white object on black; return where the picture is at least half as bright as white."""
    after = transform_image.apply(image, recipe, seed=1).mean(axis=2)
    mean = image.mean()
    level = (127.5 - mean) * recipe.contrast + mean + recipe.brightness * 255
    return (after >= level) & within(recipe)


def within(recipe):
    """Tell which pixels show the source, and not the grey beside it."""
    values = ("fliplr", "flipud", "rotate", "scale", "crop", "left", "top")
    moved = AugmentationParameters(**{name: getattr(recipe, name) for name in values})
    return transform_image.apply(np.full((HEIGHT, WIDTH, 3), 255, np.uint8), moved, 0)[..., 0] > 200


def moved(labels, recipe, task, keypoints=None):
    return _follow(labels, EXTENT, recipe, CopyRules(STILL, 0.0, 0, task, keypoints))[0]


def covered(region):
    """Tell which pixels' centres lie in a region."""
    return shapely.contains_xy(region, PLACES[..., 0], PLACES[..., 1])


@EACH
@given(data=st.data(), ring=stars())
@QUICK
def test_outlines(transform, data, ring):
    recipe = data.draw(TRANSFORMS[transform])
    pixels, kept = found(filled(ring), recipe), moved(outlined(ring), recipe, "segment")
    if not len(kept):
        assert pixels.sum() <= 8
        return
    region = shapely.make_valid(shapely.Polygon(kept.outlines[0] * EXTENT))
    assert not (pixels & ~covered(region.buffer(NEAR))).any()
    assert not (covered(region.buffer(-NEAR)) & ~pixels).any()
    assert 0 <= kept.outlines[0].min() <= kept.outlines[0].max() <= 1


@EACH
@given(data=st.data(), ring=bars())
@QUICK
def test_rotated_boxes(transform, data, ring):
    recipe = data.draw(TRANSFORMS[transform])
    pixels, kept = found(filled(ring), recipe), moved(outlined(ring), recipe, "obb")
    if not len(kept):
        assert pixels.sum() <= 8
        return
    corners = kept.outlines[0] * EXTENT
    rectangle = shapely.Polygon(corners)
    assert corners.shape == (4, 2)
    assert not (pixels & ~covered(rectangle.buffer(NEAR))).any()
    if all(ends.min() > 0 and (ends < EXTENT).all() for ends in (ring, corners)):
        assert not (covered(rectangle.buffer(-NEAR)) & ~pixels).any()
    assert rectangle.area == pytest.approx(shapely.minimum_rotated_rectangle(rectangle).area, rel=1e-6)


@EACH
@given(data=st.data(), box=bars())
@QUICK
def test_boxes(transform, data, box):
    """The ellipse in an upright box; what the edge cuts may be less than its box."""
    recipe = data.draw(TRANSFORMS[transform])
    low, high = np.maximum(box.min(axis=0), 1), np.minimum(box.max(axis=0), np.array(EXTENT) - 1)
    angles = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    ring = (low + high) / 2 + (high - low) / 2 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    pixels, kept = found(filled(ring), recipe), moved(outlined(ring), recipe, "detect")
    if not len(kept):
        assert pixels.sum() <= 8
        return
    x, y, width, height = kept.boxes[0] * [*EXTENT, *EXTENT]
    region = shapely.box(x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    assert not (pixels & ~covered(region.buffer(NEAR))).any()
    if (
        region.bounds[0] > 0
        and region.bounds[1] > 0
        and region.bounds[2] < WIDTH
        and region.bounds[3] < HEIGHT
    ):
        rows, columns = np.nonzero(pixels)
        seen = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
        assert np.abs(np.subtract(seen, region.bounds)).max() <= NEAR + 0.5


FACE = Keypoints(("left", "right", "nose"), (1, 0, 2))


@st.composite
def faces(draw):
    """Three places a good deal apart from each other, and from the image's edges."""
    turn, x, y = draw(st.floats(0, 6)), draw(st.floats(24, WIDTH - 24)), draw(st.floats(24, HEIGHT - 24))
    angles = turn + np.array([0.0, 2.0, 4.0])
    return np.array([x, y]) + 14 * np.stack([np.cos(angles), np.sin(angles)], axis=1)


@EACH
@given(data=st.data(), places=faces())
@QUICK
def test_poses(transform, data, places):
    """Each point is a disc of its own colour: in a mirrored image the left one is where the right one was."""
    recipe = data.draw(TRANSFORMS[transform])
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for place, channel in zip(places, range(3), strict=True):
        distance = np.linalg.norm(PLACES - place, axis=2)
        image[..., channel] = np.rint(255 * np.clip(4.5 - distance, 0, 1))
    low, high = places.min(axis=0) - 4, places.max(axis=0) + 4
    box = np.array([[*(low + high) / 2, *(high - low)]]) / [*EXTENT, *EXTENT]
    labels = ImageLabels(
        np.array([0]), box, keypoints=np.append(places / EXTENT, [[2], [1], [2]], axis=1)[None]
    )
    kept = moved(labels, recipe, "pose", FACE)
    after = transform_image.apply(image, recipe, seed=1).astype(float)
    for number in range(3):
        was = FACE.flip[number] if recipe.fliplr != recipe.flipud else number
        others = np.delete(after, was, axis=2).max(axis=2)
        blob = (after[..., was] - others > 127 * recipe.contrast) & within(recipe)
        check_point(kept, number, blob, radius=4 * recipe.scale / (1 - recipe.crop))
        assert not len(kept) or kept.keypoints[0, number, 2] in {0, labels.keypoints[0, was, 2]}


def check_point(kept, number, blob, *, radius):
    """A labelled point is the centre of its disc, and in its box; of any other, less than half is left."""
    x, y, seen = kept.keypoints[0, number] if len(kept) else (0, 0, 0)
    if not seen:
        assert blob.sum() <= 0.5 * np.pi * (radius + NEAR) ** 2
        return
    place = np.array([x, y])
    assert np.linalg.norm(PLACES[blob] - place * EXTENT, axis=1).max(initial=0) <= radius + NEAR
    assert (blob | ~covered(shapely.Point(place * EXTENT).buffer(radius - NEAR))).all()
    assert (np.abs(place - kept.boxes[0, :2]) <= kept.boxes[0, 2:] / 2 + 1e-6).all()


@EACH
@given(data=st.data())
@QUICK
def test_the_class_of_an_image_stays(transform, data):
    labels = ImageLabels(np.array([7]), np.array([[0.5, 0.5, 1.0, 1.0]]))
    kept = moved(labels, data.draw(TRANSFORMS[transform]), "classify")
    assert kept.classes.tolist() == [7]


@given(ring=stars(), other=stars(), seed=st.integers(0, 10_000))
@settings(max_examples=100, deadline=None)
def test_pasted_objects_are_where_they_are_labelled_and_what_they_cover_is_cut(ring, other, seed):
    ranges = AugmentationRanges(0.7, 90, 0.5, 0.5, 0, 0, 0, 0, 0.4, 0)
    way = copy_paste.way(other, (EXTENT, EXTENT), ranges, seed)
    assert way is not None or np.ptp(other, axis=0).max() > 30
    before = copy_paste.scene(outlined(ring), EXTENT)
    scene = way is not None and copy_paste.put(before, 5, affine.points(other, way))
    if not scene:
        return
    image = transform_image.paste(filled(ring, (255, 0, 0)), filled(other, (0, 255, 0)), other, way)
    under, over = copy_paste.labels(scene, EXTENT).outlines
    for outline, channel in ((under, 0), (over, 1)):
        region = polygons.region(outline * EXTENT)
        pixels = image[..., channel] >= 128
        assert not (pixels & ~covered(region.buffer(NEAR))).any()
        assert not (covered(region.buffer(-NEAR)) & ~pixels).any()
    assert scene.left[0] >= 1 - COVERED
    assert polygons.region(under * EXTENT).area == pytest.approx(
        scene.left[0] * shapely.Polygon(ring).area, abs=1
    )
