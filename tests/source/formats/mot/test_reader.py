"""MOTChallenge reader: known answers."""

import pytest
from hypothesis import given, settings

from pipeline.core.errors import UserError
from pipeline.source.formats.mot.reader import matches_folder, read_folder
from pipeline.source.recognize_format import recognize_source
from tests.readings import check_corrupted_source, corrupted_bytes, get_boxes_by_path
from tests.sources import write_picture

GT = "1,1,11,21,40,30,1,1,0.8\n1,2,5,6,7,8,0,3,1\n2,1,12,22,40,30,1,1,0\n"
INFO = "[Sequence]\nname={}\nimDir=img1\nframeRate=30\nseqLength=3\nimWidth=96\nimHeight=80\nimExt=.jpg\n"


def write(folder, text=GT, *, frames=3, info=INFO):
    for number in range(1, frames + 1):
        write_picture(folder / f"img1/{number:06d}.jpg")
    (folder / "gt").mkdir(parents=True, exist_ok=True)
    (folder / "gt/gt.txt").write_text(text)
    if info:
        (folder / "seqinfo.ini").write_text(info.format(folder.name))
    return folder


def test_frames_are_images_and_objects_not_considered_are_counted(tmp_path):
    write(tmp_path / "train/MOT17-02")
    write(tmp_path / "train/MOT17-04", "2,1,1,1,10,10,1,7,1\n")
    (tmp_path / "train/MOT17-02/det").mkdir()
    (tmp_path / "train/MOT17-02/det/det.txt").write_text("1,-1,11,21,40,30,0.9\n")
    write_picture(tmp_path / "test/MOT17-01/img1/000001.jpg")
    found = recognize_source("auto", tmp_path)
    assert found.form == "mot"
    assert get_boxes_by_path(found.source) == {
        "train/MOT17-02/img1/000001.jpg": [("pedestrian", 10, 20, 50, 50)],
        "train/MOT17-02/img1/000002.jpg": [("pedestrian", 11, 21, 51, 51)],
        "train/MOT17-02/img1/000003.jpg": [],
        "train/MOT17-04/img1/000001.jpg": [],
        "train/MOT17-04/img1/000002.jpg": [("static person", 0, 0, 10, 10)],
        "train/MOT17-04/img1/000003.jpg": [],
    }
    assert {image.size for image in found.source.images} == {(96, 80)}
    assert not any(image.notes for image in found.source.images)
    assert [(d.file, d.kind) for d in found.source.defects] == [
        ("test/MOT17-01/img1/000001.jpg", "unlisted-image")
    ]
    assert found.source.remarks == (
        "2 sequences of frames: data.group_by=column:sequence keeps the frames of each in one split",
        "1 car: left out, since gt.txt flags them as not considered; the frames are used",
        "1 box has visibility 0: objects that cannot be seen are used as any other",
        "pixels are counted from 1, as MOTChallenge does: boxes are moved by one to count from 0",
    )


def test_each_sequence_is_a_group(tmp_path):
    write(tmp_path / "train/a")
    write(tmp_path / "train/b", "2,1,1,1,10,10,1,7,1\n")
    groups = {image.source: image.columns["sequence"] for image in read_folder(tmp_path).images}
    assert groups == {path: path.rpartition("/img1/")[0] for path in groups}
    assert set(groups.values()) == {"train/a", "train/b"}


def test_sequence_repeated_for_another_detector_is_left_out(tmp_path):
    for name in ("MOT17-02-DPM", "MOT17-02-SDP", "MOT17-04-SDP"):
        write(tmp_path / name)
    source = read_folder(tmp_path)
    assert {image.columns["sequence"] for image in source.images} == {"MOT17-02-DPM", "MOT17-04-SDP"}
    assert source.defects == ()
    assert "MOT17-02-SDP: the same frames and objects as MOT17-02-DPM once more: left out" in source.remarks


def test_mot15_has_pedestrians_alone(tmp_path):
    write(tmp_path, "1,1,11,21,40,30,1,-1,-1,-1\n1,1,11,21,40,30,0,-1,-1,-1\n")
    assert get_boxes_by_path(read_folder(tmp_path))["img1/000001.jpg"] == [("pedestrian", 10, 20, 50, 50)]


@pytest.mark.parametrize(
    "text",
    [
        "1,1,11,21,40,30,1,-5.5616,3,0\n1,1,11,21,40,30,0,4,3,0\n",
        "1,1,11,21,40,30,1,-1.0,-1,-1\n",
        "1,1,11,21,40,30,1,0,0,0\n",
    ],
)
def test_mot15_may_have_coordinates_of_the_world(tmp_path, text):
    write(tmp_path, text)
    assert get_boxes_by_path(read_folder(tmp_path))["img1/000001.jpg"] == [("pedestrian", 10, 20, 50, 50)]


def test_class_in_a_line_of_ten_numbers_is_refused(tmp_path):
    write(tmp_path, "1,0,593,43,174,190,1,4,0,0\n1,1,11,21,40,30,1,1,0,1\n")
    with pytest.raises(UserError, match=r"eighth .*class 4:"):
        read_folder(tmp_path)


def test_class_0_beside_others_is_refused(tmp_path):
    write(tmp_path, "1,1,11,21,40,30,1,0,1\n1,2,12,22,40,30,1,1,1\n")
    with pytest.raises(UserError, match="class 0"):
        read_folder(tmp_path)


def test_class_0_alone_is_told(tmp_path):
    source = read_folder(write(tmp_path, "1,1,11,21,40,30,1,0,1\n1,2,12,22,40,30,0,3,1\n"))
    assert get_boxes_by_path(source)["img1/000001.jpg"] == [("pedestrian", 10, 20, 50, 50)]
    assert [remark for remark in source.remarks if "class 0" in remark]


def test_export_of_cvat_has_its_own_classes_and_counts_from_zero(tmp_path):
    write(tmp_path, "1,1,11,21,40,30,1,2,1.0\n", info="")
    (tmp_path / "gt/labels.txt").write_text("cat\ndog\n")
    found = recognize_source("auto", tmp_path)
    assert found.form == "mot"
    assert get_boxes_by_path(found.source)["img1/000001.jpg"] == [("dog", 11, 21, 51, 51)]


def test_frame_without_an_image_is_a_finding(tmp_path):
    source = read_folder(write(tmp_path, GT + "9,1,1,1,10,10,1,1,1\n"))
    assert len(source.images) == 3
    assert [(d.verdict, d.kind) for d in source.defects] == [("quarantined", "missing-image")]


@pytest.mark.parametrize(
    ("line", "kind"),
    [("1,2,3", "malformed"), ("1,3,a,6,7,8,1,1,1", "malformed"), ("1,1,1,1,9,9,1,99,1", "malformed")],
)
def test_malformed_line_is_a_finding_of_its_frame(tmp_path, line, kind):
    source = read_folder(write(tmp_path, f"{GT}{line}\n"))
    assert get_boxes_by_path(source)["img1/000001.jpg"] == [("pedestrian", 10, 20, 50, 50)]
    assert [(note.dropped, note.kind) for note in source.images[0].notes] == [(True, kind)]


def test_line_without_a_frame_is_a_finding(tmp_path):
    source = read_folder(write(tmp_path, f"{GT}nonsense\n"))
    assert len(source.images) == 3
    assert [(d.verdict, "nonsense" in d.reason) for d in source.defects] == [("quarantined", True)]


@pytest.mark.parametrize("directory", ["../../etc", "/etc", "img2", ""])
def test_frames_are_never_looked_for_outside_the_source(tmp_path, directory):
    write(tmp_path / "inner", info=INFO.replace("imDir=img1", f"imDir={directory}"))
    write_picture(tmp_path / "etc/000001.jpg")
    try:
        source = read_folder(tmp_path / "inner")
    except UserError:
        return
    assert all(image.path.is_relative_to(tmp_path / "inner") for image in source.images)


def test_masks_in_a_folder_called_gt_are_not_claimed(tmp_path):
    write_picture(tmp_path / "images/a.jpg")
    write_picture(tmp_path / "gt/a.png")
    (tmp_path / "gt/gt.txt").write_text("a b c\n")
    assert not matches_folder(tmp_path)
    with pytest.raises(UserError):
        read_folder(tmp_path)


@given(data=corrupted_bytes(GT.encode()))
@settings(max_examples=60, deadline=None)
def test_corrupted_text_is_refused_or_read(tmp_path_factory, data):
    folder = write(tmp_path_factory.getbasetemp() / "corrupted_mot")
    (folder / "gt/gt.txt").write_bytes(data)
    check_corrupted_source(read_folder, folder)


@given(data=corrupted_bytes(INFO.encode()))
@settings(max_examples=40, deadline=None)
def test_corrupted_sequence_info_is_refused_or_read(tmp_path_factory, data):
    folder = write(tmp_path_factory.getbasetemp() / "corrupted_info")
    (folder / "seqinfo.ini").write_bytes(data)
    check_corrupted_source(read_folder, folder)
