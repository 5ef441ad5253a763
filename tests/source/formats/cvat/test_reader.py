"""CVAT XML reader: known answers for images and video, every shape, and invalid objects."""

import math

import numpy as np
import pytest
from hypothesis import given, settings

from pipeline.core.errors import UserError
from pipeline.source.formats.cvat.reader import matches_folder, read_folder
from tests.readings import (
    check_corrupted_source,
    corrupted_bytes,
    find_real_dataset,
    get_boxes,
    get_notes,
    get_outlines,
)
from tests.sources import write_picture

BOX = '<box label="cat" xtl="10" ytl="20" xbr="50" ybr="60"/>'
LABELS = (
    "<meta><task><labels><label><name>dog</name></label><label><name>cat</name></label>"
    "<label><name>nose</name><parent>cat</parent></label></labels></task></meta>"
)


def image(name, inner, **more):
    stated = "".join(f' {key}="{value}"' for key, value in {"width": 96, "height": 80, **more}.items())
    return f'<image id="0" name="{name}"{stated}>{inner}</image>'


def write(folder, inner, *, pictures=("x.jpg",), labels=LABELS):
    for name in pictures:
        write_picture(folder / "images" / name)
    text = f"<?xml version='1.0'?><annotations><version>1.1</version>{labels}{inner}</annotations>"
    (folder / "annotations.xml").write_text(text)
    return folder


def one(folder, shape):
    return read_folder(write(folder, image("x.jpg", shape)))


@pytest.mark.parametrize(
    ("shape", "task", "box"),
    [
        (BOX, "detect", (10, 20, 50, 60)),
        (BOX.replace("/>", ' rotation="360"/>'), "detect", (10, 20, 50, 60)),
        ('<polygon label="cat" points="10,20;50,20;50.5,60"/>', "segment", (10, 20, 50.5, 60)),
        ('<ellipse label="cat" cx="30" cy="40" rx="20" ry="10"/>', "segment", (10, 30, 50, 50)),
        ('<ellipse label="cat" cx="30" cy="40" rx="20" ry="10" rotation="90"/>', "segment", (20, 20, 40, 60)),
        (
            '<mask label="cat" left="10" top="20" width="4" height="2" rle="1, 2, 2, 3"/>',
            "segment",
            (11, 20, 14, 22),
        ),
        ('<tag label="cat"/>', "classify", (0, 0, 1, 1)),
    ],
)
def test_shape_is_read_with_its_box_and_task(tmp_path, shape, task, box):
    source = one(tmp_path, shape)
    assert get_boxes(source) == {"x": [("cat", *box)]}
    assert (source.task, source.images[0].size, source.defects) == (task, (96, 80), ())


def test_rotation_turns_a_box_clockwise_around_its_center(tmp_path):
    [[[corners]]] = get_outlines(
        one(tmp_path, BOX.replace('ybr="60"/>', 'ybr="30" rotation="30"/>'))
    ).values()
    turn = np.exp(1j * math.radians(30))  # with y downwards, a positive angle goes clockwise
    expected = [
        (complex(x, y) - (30 + 25j)) * turn + (30 + 25j) for x, y in ((10, 20), (50, 20), (50, 30), (10, 30))
    ]
    assert np.allclose(corners, [(point.real, point.imag) for point in expected], atol=1e-3)
    assert corners[1][1] > 25  # the right end goes down


def test_mask_equals_its_rle_runs(tmp_path):
    shape = (
        '<mask label="cat" left="10" top="20" width="3" height="3" rle="0,3,1,1,1,3"/>'  # an H on its side
    )
    [[[ring]]] = get_outlines(one(tmp_path, shape)).values()
    corners = [
        (10, 20),
        (13, 20),
        (13, 21),
        (12, 21),
        (12, 22),
        (13, 22),
        (13, 23),
        (10, 23),
        (10, 22),
        (11, 22),
    ]
    assert {tuple(point) for point in ring} == {*corners, (11, 21), (10, 21)}
    assert len(ring) == 12


def test_skeleton_is_a_pose(tmp_path):
    shape = (
        '<skeleton label="cat"><points label="eye_l" points="10,20" occluded="0" outside="0"/>'
        '<points label="eye_r" points="50,60" occluded="1" outside="0"/>'
        '<points label="tail" points="0,0" occluded="0" outside="1"/></skeleton>'
    )
    source = one(tmp_path, shape)
    assert (source.task, source.keypoints.names, source.keypoints.flip) == (
        "pose",
        ("eye_l", "eye_r", "tail"),
        (1, 0, 2),
    )
    assert source.images[0].raw.keypoints[0].tolist() == [[10, 20, 2], [50, 60, 1], [0, 0, 0]]
    assert get_boxes(source) == {"x": [("cat", 10, 20, 50, 60)]}


def test_points_that_cvat_only_numbers_do_not_tell_which_change_places(tmp_path):
    points = '<points label="{}" points="10,{}" occluded="0" outside="0"/>'
    shape = "".join(points.format(number, 10 * number) for number in (1, 2, 3))
    source = one(tmp_path, f'<skeleton label="cat">{shape}</skeleton>')
    assert (source.keypoints.names, source.keypoints.flip) == (("1", "2", "3"), ())
    assert "nothing states which of them change places" in source.remarks[-1]


def test_unpaired_keypoints_are_remarked(tmp_path):
    points = '<points label="{}" points="10,{}" occluded="0" outside="0"/>'
    shape = "".join(points.format(name, place) for name, place in (("nose", 20), ("tail", 40)))
    *_, remark = one(tmp_path, f'<skeleton label="cat">{shape}</skeleton>').remarks
    assert remark.startswith("no points are named left and right: a mirrored image keeps their order")


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        ('<polyline label="cat" points="1,2;3,4;5,6"/>', "polyline 2: polyline is no shape with an area"),
        ('<points label="cat" points="1,2"/>', "points 2: points is no shape with an area"),
        ('<cuboid label="cat" xtl1="1"/>', "cuboid 2: cuboid is no shape with an area"),
        ('<box label="" xtl="1" ytl="2" xbr="3" ybr="4"/>', "box 2: no class"),
        ('<box label="cat" xtl="1" ytl="2" xbr="3"/>', "box 2: 'None' is no number that a coordinate can be"),
        (
            '<box label="cat" xtl="nan" ytl="2" xbr="3" ybr="4"/>',
            "box 2: 'nan' is no number that a coordinate can be",
        ),
        (
            '<box label="cat" xtl="1" ytl="2" xbr="3" ybr="4" rotation="x"/>',
            "box 2: 'x' is no number that a coordinate can be",
        ),
        ('<polygon label="cat" points="1,2;3,4"/>', "polygon 2: an outline of 2 points"),
        ('<polygon label="cat" points="1,2;3;5,6"/>', "polygon 2: points that are no pairs of x and y"),
        (
            '<mask label="cat" left="0" top="0" width="4" height="2" rle="1,2"/>',
            "mask 2: a mask whose rle does not fill its 4 x 2 pixels",
        ),
        (
            '<mask label="cat" left="0" top="0" width="99999" height="99999" rle="1"/>',
            "mask 2: a mask whose rle does not fill its 99999 x 99999 pixels",
        ),
        ('<mask label="cat" left="0" top="0" width="2" height="2" rle="4"/>', "mask 2: an empty mask"),
        ('<skeleton label="cat"/>', "skeleton 2: none of its points is placed"),
        (
            '<skeleton label="cat"><points label="a" points="1,2"/><points label="a" points="3,4"/>'
            "</skeleton>",
            "skeleton 2: a skeleton with two points called 'a'",
        ),
    ],
)
def test_invalid_object_becomes_a_note_and_others_are_read(tmp_path, shape, reason):
    source = one(tmp_path, BOX + shape)
    assert get_boxes(source) == {"x": [("cat", 10, 20, 50, 60)]}
    assert get_notes(source) == {"x": [(True, reason)]}


def test_inverted_corners_are_left_to_the_box_check(tmp_path):
    assert get_boxes(one(tmp_path, '<box label="cat" xtl="50" ytl="20" xbr="10" ybr="60"/>')) == {
        "x": [("cat", 50, 20, 10, 60)]
    }


def test_classes_keep_the_declared_order_and_unused_ones_are_remarked(tmp_path):
    both = BOX + BOX.replace("cat", "dog") + BOX.replace("cat", "ant")
    assert one(tmp_path, both).names == ("dog", "cat", "ant")
    assert one(tmp_path, BOX).remarks == (
        "classes that are declared, but that no object has, are left out: dog",
    )


def test_tags_beside_boxes_are_ignored_with_a_remark(tmp_path):
    source = one(tmp_path, BOX + '<tag label="dog"/>')
    assert (source.task, source.names) == ("detect", ("cat",))
    assert "1 tag of whole images left out: objects are drawn too" in source.remarks


def test_subsets_are_splits_and_distinguish_images_of_one_name(tmp_path):
    inner = image("x.jpg", BOX, subset="Test") + image("x.jpg", "", subset="Train")
    source = read_folder(write(tmp_path, inner, pictures=("Test/x.jpg", "Train/x.jpg")))
    assert [(i.source, i.split, len(i.raw.classes)) for i in source.images] == [
        ("images/Test/x.jpg", "test", 1),
        ("images/Train/x.jpg", "train", 0),
    ]


def test_ambiguous_images_of_one_name_are_not_matched(tmp_path):
    source = read_folder(
        write(tmp_path, image("x.jpg", BOX) + image("y.jpg", ""), pictures=("a/x.jpg", "b/x.jpg", "y.jpg"))
    )
    assert [i.source for i in source.images] == ["images/y.jpg"]
    assert [defect.file for defect in source.defects] == ["x.jpg", "images/a/x.jpg", "images/b/x.jpg"]
    assert "2 images bear this name" in source.defects[0].reason


def test_repeated_unlisted_and_missing_images_are_reported(tmp_path):
    inner = image("x.jpg", BOX) + image("x.jpg", BOX.replace("cat", "dog")) + image("../gone.jpg", BOX)
    source = read_folder(write(tmp_path, inner, pictures=("x.jpg", "bare.jpg")))
    assert [label for label, *_ in get_boxes(source)["x"]] == ["cat", "dog"]
    assert get_notes(source)["x"] == [(False, "listed 2 times: its objects are put together")]
    assert [(d.file, d.reason) for d in source.defects] == [
        ("../gone.jpg", "listed in annotations.xml, but there is no such image"),
        ("images/bare.jpg", "not listed in any annotation file"),
    ]


def test_video_tracks_become_objects_per_frame(tmp_path):
    track = (
        '<track id="7" label="cat">'
        '<box frame="0" outside="0" xtl="10" ytl="20" xbr="50" ybr="60"/>'
        '<box frame="1" outside="0" xtl="12" ytl="20" xbr="52" ybr="60"/>'
        '<box frame="2" outside="1" xtl="12" ytl="20" xbr="52" ybr="60"/></track>'
    )
    source = read_folder(write(tmp_path, track, pictures=[f"frame_{n:06d}.png" for n in range(4)]))
    assert get_boxes(source) == {
        "frame_000000": [("cat", 10, 20, 50, 60)],
        "frame_000001": [("cat", 12, 20, 52, 60)],
        "frame_000002": [],
    }
    assert source.images[0].raw.marks == ("track 7",)
    assert [defect.file for defect in source.defects] == ["images/frame_000003.png"]


@pytest.mark.parametrize(
    ("numbers", "is_shifted"),
    [(range(1, 4), True), (range(3), False), (range(4), False), (range(1, 3), False), ((1, 2, 5), False)],
)
def test_frames_of_a_video_that_are_numbered_from_1_are_refused(tmp_path, numbers, is_shifted):
    meta = "<meta><task><size>3</size></task></meta>"
    box = BOX.replace("<box", '<box frame="1" outside="0"')
    track = f'<track id="7" label="cat">{box}</track>'
    folder = write(tmp_path, track, pictures=[f"frame_{n:06d}.png" for n in numbers], labels=meta)
    if is_shifted:
        with pytest.raises(UserError, match=r"named from 1, to frame_000003"):
            read_folder(folder)
    else:
        assert get_boxes(read_folder(folder)) == {"frame_000001": [("cat", 10, 20, 50, 60)]}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("<annotations><meta>", "is no XML"),
        ('<!DOCTYPE a [<!ENTITY e "x">]><annotations>&e;</annotations>', "declares XML entities"),
        ("<other/>", "no CVAT annotations"),
    ],
)
def test_folder_without_annotations_is_refused(tmp_path, text, reason):
    (tmp_path / "annotations.xml").write_text(text)
    with pytest.raises(UserError, match=reason):
        read_folder(tmp_path)


@pytest.mark.parametrize(
    ("name", "images", "objects"),
    [("for_images/export_task", 2, 1), ("for_images/export_project", 6, 6), ("for_video", 3, 1)],
)
def test_real_exports_are_read(name, images, objects):
    folder = find_real_dataset(f"datumaro-assets/cvat_dataset/{name}")
    source = read_folder(folder)
    assert matches_folder(folder)
    assert len(source.images) == images
    assert sum(len(image.raw.classes) for image in source.images) == objects


FUZZED = (
    image(
        "x.jpg",
        BOX
        + '<polygon label="dog" points="10,20;50,20;50.5,60"/>'
        + '<mask label="cat" left="10" top="20" width="4" height="2" rle="1,2,2,3"/>'
        + '<skeleton label="cat"><points label="a" points="1,2"/><points label="b" points="3,9"/></skeleton>',
    )
    + '<track id="1" label="cat"><box frame="0" xtl="1" ytl="2" xbr="3" ybr="4"/></track>'
)


@given(data=corrupted_bytes(f"<annotations>{LABELS}{FUZZED}</annotations>".encode()))
@settings(max_examples=200, deadline=None)
def test_corrupted_xml_is_refused_or_read(tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp() / "spoilt_cvat"
    write_picture(folder / "x.jpg")
    (folder / "annotations.xml").write_bytes(data)
    check_corrupted_source(read_folder, folder)
