"""Class names: all files that state them are read, and contradictions are resolved or refused."""

import json

import pytest

from pipeline.core.errors import UserError
from pipeline.source.formats.yolo.class_names import ClassList, choose_class_names
from pipeline.source.recognize_format import read_source
from pipeline.source.types import ReadOptions
from tests import sources
from tests.readings import get_boxes


def label(number, x=0.5):
    return f"{number} {x} 0.5 0.2 0.4\n"


def write_export(folder, numbers, *, notes=None, classes=None, **data):
    """Write a YOLO dataset with one image per class number, x0.jpg first, and side files."""
    labels = {f"x{place}": label(number) for place, number in enumerate(numbers)}
    sources.write_yolo_source(folder, labels, names=data.pop("names", None), **data)
    if notes is not None:
        rows = [{"id": number, "name": name} for number, name in notes]
        text = json.dumps({"categories": rows, "info": {"contributor": "Label Studio"}})
        (folder / "notes.json").write_text(text)
    if classes is not None:
        (folder / "classes.txt").write_text("\n".join(classes))
    return folder


def get_names(source):
    return {stem: [name for name, *_ in boxes] for stem, boxes in get_boxes(source).items()}


@pytest.mark.parametrize("number", [int, str])
def test_label_studio_numbers_in_another_order_name_the_classes(tmp_path, number):
    notes = [(number(2), "safe_b"), (number(0), "safe_h"), (number(1), "n_safe_h")]
    write_export(tmp_path, [0, 1, 2], notes=notes, classes=["safe_b", "safe_h", "n_safe_h"])
    source = read_source("auto", tmp_path)
    assert source.names == ("safe_h", "n_safe_h", "safe_b")
    assert get_names(source) == {"x0": ["safe_h"], "x1": ["n_safe_h"], "x2": ["safe_b"]}
    [remark] = source.remarks
    assert "classes.txt (0 safe_b, 1 safe_h, 2 n_safe_h) contradicts notes.json" in remark


def test_label_studio_numbers_from_1_name_the_classes(tmp_path):
    notes = [("1", "car"), ("2", "person"), ("3", "truck")]
    write_export(tmp_path, [1, 2, 3], notes=notes, classes=["car", "person", "truck"])
    source = read_source("auto", tmp_path)
    assert source.names == ("car", "person", "truck")
    assert get_names(source) == {"x0": ["car"], "x1": ["person"], "x2": ["truck"]}


def test_mapping_from_0_is_counted_from_1_where_the_labels_are(tmp_path):
    write_export(tmp_path, [1, 2], names={0: "scratch", 1: "dent"}, train="images")
    with pytest.raises(UserError, match=r"data\.first_class=1"):
        read_source("yolo", tmp_path)
    source = read_source("yolo", tmp_path, ReadOptions(first_class=1))
    assert source.names == ("scratch", "dent")
    assert get_names(source) == {"x0": ["scratch"], "x1": ["dent"]}
    assert len(source.remarks) == 1  # that the numbers of data.yaml are shifted


def test_label_studio_files_that_agree_need_no_remark(tmp_path):
    write_export(tmp_path, [0, 1], notes=[(0, "car"), (1, "van")], classes=["car", "van"])
    source = read_source("auto", tmp_path)
    assert (source.names, source.remarks) == (("car", "van"), ())


def test_number_without_name_in_notes_json_is_dropped(tmp_path):
    write_export(tmp_path, [1] * 9 + [2] * 9 + [0], notes=[(1, "car"), (2, "van")])
    source = read_source("auto", tmp_path)
    kinds = [note.kind for image in source.images for note in image.notes]
    assert kinds == ["class-out-of-range"]
    assert sum(len(image.raw.classes) for image in source.images) == 18


def test_one_number_for_two_classes_is_refused(tmp_path):
    write_export(tmp_path, [0, 1], notes=[("0", "car"), (0, "van")])
    with pytest.raises(UserError, match="two classes the same number"):
        read_source("yolo", tmp_path)


@pytest.mark.parametrize(
    "side",
    ["classes.txt", "obj.names", "labels/classes.txt", "train/_darknet.labels", "my.names", "names.txt"],
)
def test_side_file_that_contradicts_data_yaml_is_refused_and_both_are_shown(tmp_path, side):
    write_export(tmp_path, [0, 1], names=("cat", "dog"), train="images")
    (tmp_path / side).parent.mkdir(exist_ok=True)
    (tmp_path / side).write_text("dog\ncat\n")
    with pytest.raises(UserError, match=r"0 cat, 1 dog against 0 dog, 1 cat") as refused:
        read_source("yolo", tmp_path)
    assert side in str(refused.value)
    assert "data.yaml" in str(refused.value)


def test_notes_json_that_contradicts_data_yaml_is_refused(tmp_path):
    write_export(tmp_path, [0, 1], names=("cat", "dog"), train="images", notes=[(0, "dog"), (1, "cat")])
    with pytest.raises(UserError, match="name the classes differently"):
        read_source("yolo", tmp_path)


def test_other_json_called_notes_is_no_list_of_classes(tmp_path):
    write_export(tmp_path, [0, 1], classes=["cat", "dog"])
    (tmp_path / "notes.json").write_text('{"categories": "none", "text": "hello"}')
    assert read_source("yolo", tmp_path).names == ("cat", "dog")


def test_spelling_of_names_is_no_contradiction(tmp_path):
    write_export(
        tmp_path, [0, 1], names=("Traffic light", "dog"), train="images", classes=["traffic_light", "Dog"]
    )
    assert read_source("yolo", tmp_path).names == ("Traffic light", "dog")


def test_defaults_of_labelimg_do_not_count_beside_its_classes(tmp_path):
    write_export(tmp_path, [0, 1], classes=["bolt", "nut"])
    (tmp_path / "data").mkdir()
    (tmp_path / "data/predefined_classes.txt").write_text("dog\nperson\ncat\n")
    source = read_source("yolo", tmp_path)
    assert source.names == ("bolt", "nut")
    assert any("predefined_classes.txt" in remark for remark in source.remarks)


def test_numbered_lines_state_the_numbers(tmp_path):
    write_export(tmp_path, [0, 1], classes=["1: dog", "0: cat"])
    assert read_source("yolo", tmp_path).names == ("cat", "dog")


def test_longer_list_names_further_classes():
    short, long = ClassList("a", {0: "x"}, (0,)), ClassList("b", {0: "x", 1: "y"}, (0, 1))
    chosen = choose_class_names([short, long], {0, 1})
    assert (chosen.names, chosen.numbers, len(chosen.remarks)) == (("x", "y"), (0, 1), 1)


@pytest.mark.parametrize("stated", ["1", 1])
def test_classes_counted_from_1_are_named_when_asked(tmp_path, stated):
    write_export(tmp_path, [1, 2], classes=["cat", "dog"])
    source = read_source("yolo", tmp_path, ReadOptions(first_class=stated))
    assert get_names(source) == {"x0": ["cat"], "x1": ["dog"]}


def test_keys_of_data_yaml_from_1_are_read_when_asked(tmp_path):
    write_export(tmp_path, [1, 2], names={1: "cat", 2: "dog"}, train="images")
    with pytest.raises(UserError, match=r"data\.first_class=1"):
        read_source("yolo", tmp_path)
    source = read_source("yolo", tmp_path, ReadOptions(first_class=1))
    assert get_names(source) == {"x0": ["cat"], "x1": ["dog"]}


@pytest.mark.parametrize("names", [("cat", "dog"), ("ball",)])
def test_classes_counted_from_1_are_refused(tmp_path, names):
    numbers = range(1, len(names) + 1)
    write_export(tmp_path, numbers, names=names, train="images")
    with pytest.raises(UserError, match=r"data\.first_class=1"):
        read_source("yolo", tmp_path)
    source = read_source("yolo", tmp_path, ReadOptions(first_class=0))
    assert [image.raw.classes.tolist() for image in source.images] == [[number] for number in numbers]


def test_many_numbers_without_name_are_refused(tmp_path):
    write_export(tmp_path, [0, 1, 7, 8, 9], names=("cat", "dog"), train="images")
    with pytest.raises(UserError, match="3 of 5 objects have a class number without a name"):
        read_source("yolo", tmp_path)


@pytest.mark.parametrize(
    ("classes", "told"), [([0, 0], "no class: it is called class_0"), ([0, 1], "called class_0 to class_1")]
)
def test_names_of_unnamed_classes_are_told(tmp_path, classes, told):
    [remark] = read_source("yolo", write_export(tmp_path, classes)).remarks
    assert remark.endswith(told)


def test_unnamed_classes_without_class_0_are_told(tmp_path):
    write_export(tmp_path, [1, 2])
    source = read_source("yolo", tmp_path)
    assert source.names == ("class_0", "class_1", "class_2")
    assert "data.first_class=1" in source.remarks[0]
    source = read_source("yolo", tmp_path, ReadOptions(first_class=1))
    assert source.names == ("class_1", "class_2")
    assert get_names(source) == {"x0": ["class_1"], "x1": ["class_2"]}


def test_yaml_words_and_numbers_stay_the_text_that_is_written(tmp_path):
    write_export(tmp_path, range(8))
    names = "[off, no, null, 007, 1.0, 1e3, ~, 2020-01-01]"
    (tmp_path / "data.yaml").write_text(f"train: images\nnames: {names}\n")
    assert read_source("yolo", tmp_path).names == (
        "off",
        "no",
        "null",
        "007",
        "1.0",
        "1e3",
        "~",
        "2020-01-01",
    )


def test_yaml_words_in_a_mapping_stay_text(tmp_path):
    write_export(tmp_path, [0, 1])
    (tmp_path / "data.yaml").write_text("train: images\nnames:\n  0: yes\n  1: 0x10\n")
    assert read_source("yolo", tmp_path).names == ("yes", "0x10")


@pytest.mark.parametrize("names", ["['cat', 'cat ']", "[cat, ' cat']"])
def test_names_that_differ_in_outer_blanks_are_refused(tmp_path, names):
    write_export(tmp_path, [0, 1])
    (tmp_path / "data.yaml").write_text(f"train: images\nnames: {names}\n")
    with pytest.raises(UserError, match=r"two classes of .* are called 'cat' and ' ?cat ?'"):
        read_source("yolo", tmp_path)


def test_class_without_a_name_is_refused(tmp_path):
    write_export(tmp_path, [0, 1])
    (tmp_path / "data.yaml").write_text("train: images\nnames:\n  - cat\n  -\n")
    with pytest.raises(UserError, match="no name for class 1"):
        read_source("yolo", tmp_path)


@pytest.mark.parametrize("channels", [1, 4, 10])
def test_other_number_of_channels_is_told(tmp_path, channels):
    write_export(tmp_path, [0, 1], names=("a", "b"), train="images", channels=channels)
    [remark] = read_source("yolo", tmp_path).remarks
    assert f"channels: {channels}" in remark
