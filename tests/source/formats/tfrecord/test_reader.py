"""TFRecord reader: known answers; the protocol buffers are encoded by Google's library."""

import struct
from functools import cache

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from hypothesis import given, settings

from pipeline.core.errors import UserError
from pipeline.prepare.images.check import check_image
from pipeline.prepare.images.errors import UnusableImageError
from pipeline.source.formats.tfrecord.reader import matches_folder, read_folder
from pipeline.source.formats.tfrecord.records import compute_masked_crc
from pipeline.source.recognize_format import recognize_source
from pipeline.source.types import ReadOptions
from tests.readings import check_source, corrupted_bytes, get_boxes_by_path
from tests.sources import SIZE, write_picture

LISTS = (("bytes_list", "BytesList", 12), ("float_list", "FloatList", 2), ("int64_list", "Int64List", 3))
BOX = {"xmin": 0.125, "ymin": 0.25, "xmax": 0.5, "ymax": 0.75}
LABEL_MAP = "item {\n  name: \"cat\"\n  id: 1\n}\nitem { id: 2 name: 'dog' }\n"


@cache
def example_class():
    """Build the class of tf.train.Example from its published definition."""
    file = descriptor_pb2.FileDescriptorProto(name="example.proto", package="tf", syntax="proto3")
    for _, kind, number in LISTS:
        message = file.message_type.add(name=kind)
        message.field.add(name="value", number=1, type=number, label=3)
    feature = file.message_type.add(name="Feature")
    feature.oneof_decl.add(name="kind")
    for number, (name, kind, _) in enumerate(LISTS, 1):
        feature.field.add(name=name, number=number, type=11, label=1, type_name=f".tf.{kind}", oneof_index=0)
    features = file.message_type.add(name="Features")
    entry = features.nested_type.add(name="FeatureEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=9, label=1)
    entry.field.add(name="value", number=2, type=11, label=1, type_name=".tf.Feature")
    features.field.add(name="feature", number=1, type=11, label=3, type_name=".tf.Features.FeatureEntry")
    example = file.message_type.add(name="Example")
    example.field.add(name="features", number=1, type=11, label=1, type_name=".tf.Features")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("tf.Example"))


def encode_example(values):
    example = example_class()()
    for key, found in values.items():
        feature = example.features.feature[key]
        if isinstance(found[0] if found else 0, bytes):
            feature.bytes_list.value.extend(found)
        elif isinstance(found[0] if found else 0, float):
            feature.float_list.value.extend(found)
        else:
            feature.int64_list.value.extend(found)
    return example.SerializeToString()


def record(contents):
    header = struct.pack("<Q", len(contents))
    crcs = (struct.pack("<I", compute_masked_crc(part)) for part in (header, contents[:50]))
    first, second = crcs
    return header + first + contents + second


def example(folder, name, *labels: str, box=BOX, **more):
    image = write_picture(folder / "drawn" / name).read_bytes()
    (folder / "drawn" / name).unlink()
    (folder / "drawn").rmdir()
    values = {
        "image/encoded": [image],
        "image/filename": [name.encode()],
        "image/width": [SIZE[0]],
        "image/height": [SIZE[1]],
        **{f"image/object/bbox/{side}": [value] * len(labels) for side, value in box.items()},
        "image/object/class/text": [label.encode() for label in labels],
        "image/object/class/label": [1] * len(labels),
        **{f"image/{key}": value for key, value in more.items()},
    }
    return encode_example({key: value for key, value in values.items() if value is not None})


def write(folder, *examples: bytes, file="train.tfrecord"):
    folder.mkdir(exist_ok=True)
    (folder / file).write_bytes(b"".join(map(record, examples)))
    return folder


def test_checksum_is_that_of_the_published_test_vector():
    crc = 0xE3069283  # CRC-32C of 123456789, RFC 3720
    assert compute_masked_crc(b"123456789") == (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def test_boxes_are_shares_and_images_are_in_the_file(tmp_path):
    rows = example(tmp_path, "a.jpg", "cat", "dog"), example(tmp_path, "b.png")
    found = recognize_source("auto", write(tmp_path, *rows))
    assert found.form == "tfrecord"
    assert get_boxes_by_path(found.source) == {
        "train.tfrecord/a.jpg": [("cat", 0.125, 0.25, 0.5, 0.75), ("dog", 0.125, 0.25, 0.5, 0.75)],
        "train.tfrecord/b.png": [],
    }
    assert all(image.normalized and image.size == SIZE for image in found.source.images)
    first, second = found.source.images
    assert check_image(first.path, first.load).size == SIZE
    assert (check_image(second.path, second.load).size, check_image(second.path, second.load).suffix) == (
        SIZE,
        ".png",
    )


def test_numbers_are_named_by_the_label_map(tmp_path):
    rows = (
        example(tmp_path, "a.jpg", "x", **{"object/class/text": None, "object/class/label": [2]}),
        example(tmp_path, "b.jpg", "x", **{"object/class/text": None, "object/class/label": [9]}),
    )
    (write(tmp_path, *rows) / "x_label_map.pbtxt").write_text(LABEL_MAP)
    source = read_folder(tmp_path)
    assert [box[0][0] for box in get_boxes_by_path(source).values()] == ["dog", "class_9"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ('item { id: 1 name: "cat" } item { id: 2 name: "cat" }', ""),
        ('item { id: 1 name: "cat" }', 'item { id: 2 name: "cat" }'),
        ('item { id: 1 name: "cat" }', 'item { id: 1 name: "dog" }'),
    ],
)
def test_label_maps_that_name_two_classes_alike_or_one_differently_are_refused(tmp_path, first, second):
    write(tmp_path, example(tmp_path, "a.jpg", "cat"))
    (tmp_path / "a.pbtxt").write_text(first)
    (tmp_path / "b.pbtxt").write_text(second)
    with pytest.raises(UserError, match=r"give each class its own name|correct or remove one of them"):
        read_folder(tmp_path)


def test_parts_and_splits_are_read_from_the_names_of_the_files(tmp_path):
    write(tmp_path, example(tmp_path, "a.jpg", "cat"), file="train.tfrecord-00000-of-00002")
    write(tmp_path, example(tmp_path, "a.jpg", "cat"), file="train.tfrecord-00001-of-00002")
    write(tmp_path, example(tmp_path, "c.jpg", "cat"), example(tmp_path, "c.jpg"), file="val.record")
    source = recognize_source("auto", tmp_path).source
    assert {image.source: image.split for image in source.images} == {
        "train.tfrecord-00000-of-00002/a.jpg": "train",
        "train.tfrecord-00001-of-00002/a.jpg": "train",
        "val.record/000003/c.jpg": "val",
        "val.record/000004/c.jpg": "val",
    }


def test_classes_of_whole_images_are_read(tmp_path):
    rows = (
        example(tmp_path, f"{label}{number}.jpg", **{"class/text": [label.encode()]})
        for number in (1, 2)
        for label in ("good", "bad")
    )
    source = read_folder(write(tmp_path, *rows))
    assert source.task == "classify"
    assert [source.names[image.raw.classes[0]] for image in source.images] == ["good", "bad"] * 2


@pytest.mark.parametrize(("crowds", "count"), [("auto", 1), ("objects", 2)])
def test_crowds_are_left_out_with_a_finding(tmp_path, crowds, count):
    row = example(tmp_path, "a.jpg", "cat", "cat", **{"object/is_crowd": [0, 1]})
    source = read_folder(write(tmp_path, row), ReadOptions(crowds=crowds))
    assert len(source.images[0].raw.classes) == count
    assert [(note.dropped, note.kind) for note in source.images[0].notes] == [(True, "crowd")] * (2 - count)


def test_malformed_object_is_a_finding(tmp_path):
    row = example(tmp_path, "a.jpg", "cat", "", **{"object/bbox/xmin": [0.125, float("nan")]})
    source = read_folder(write(tmp_path, row))
    assert len(source.images[0].raw.classes) == 1
    assert [(note.dropped, note.kind) for note in source.images[0].notes] == [(True, "malformed")]


def test_lists_of_different_length_are_a_fault(tmp_path):
    rows = (
        example(tmp_path, "a.jpg", "cat", **{"object/bbox/xmin": [0.1, 0.2]}),
        example(tmp_path, "b.jpg", "cat"),
    )
    source = read_folder(write(tmp_path, *rows))
    assert [bool(image.fault) for image in source.images] == [True, False]


def test_truncated_file_keeps_its_whole_records(tmp_path):
    write(tmp_path, example(tmp_path, "a.jpg", "cat"), example(tmp_path, "b.jpg", "cat"))
    path = tmp_path / "train.tfrecord"
    path.write_bytes(path.read_bytes()[:-10])
    source = read_folder(tmp_path)
    assert [image.source for image in source.images] == ["train.tfrecord/a.jpg"]
    assert [(d.file, d.verdict, d.kind) for d in source.defects] == [
        ("train.tfrecord/record 2", "quarantined", "unreadable-label")
    ]


def test_names_with_folders_stay_inside_the_source(tmp_path):
    source = read_folder(write(tmp_path, example(tmp_path, "a.jpg", "cat", filename=[b"../../etc/passwd"])))
    assert [image.source for image in source.images] == ["train.tfrecord/passwd"]


def test_image_that_is_none_is_quarantined(tmp_path):
    source = read_folder(write(tmp_path, example(tmp_path, "a.jpg", "cat", encoded=[b"no image"])))
    [image] = source.images
    with pytest.raises(UnusableImageError):
        check_image(image.path, image.load)


@pytest.mark.parametrize("values", [{"feature/x": [1.0]}, {"image/filename": [b"a.jpg"]}])
def test_other_records_are_refused_with_another_way(tmp_path, values):
    write(tmp_path, encode_example(values))
    assert matches_folder(tmp_path)
    with pytest.raises(UserError, match="datum convert"):
        read_folder(tmp_path)


@pytest.mark.parametrize("name", ["x.record", "x.tfrecord", "notes-1.tfrecord.2"])
def test_files_with_such_a_name_and_other_contents_are_not_claimed(tmp_path, name):
    (tmp_path / name).write_bytes(b"some other contents")
    assert not matches_folder(tmp_path)


@given(data=corrupted_bytes(encode_example({"image/encoded": [b"x"], "image/object/bbox/xmin": [0.5, 0.25]})))
@settings(max_examples=150, deadline=None)
def test_corrupted_record_is_refused_or_read(tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp() / "corrupted_tfrecord"
    write(folder, data)
    try:
        check_source(read_folder(folder))
    except UserError:
        return


@pytest.mark.parametrize(
    ("key", "value", "kind"),
    [("object/mask", [b"png"], "no-outline"), ("object/keypoint/x", [0.25, 0.5], "no-keypoints")],
)
def test_masks_and_keypoints_that_are_not_read_are_told(tmp_path, key, value, kind):
    more = example(tmp_path, "a.jpg", "cat", **{key: value})
    source = read_folder(write(tmp_path, more, example(tmp_path, "b.jpg", "cat")))
    assert [[note.kind for note in image.notes] for image in source.images] == [[kind], []]
    assert len([remark for remark in source.remarks if "are not read" in remark]) == 1
