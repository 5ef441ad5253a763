"""Column recognition of CSV tables, in the spellings of well-known datasets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.source.formats.csv.column_doubts import count_rival_points
from pipeline.source.formats.csv.columns import (
    list_unread_shape_columns,
    recognize_columns,
    recognize_headerless_row,
)

SUFFIXES = frozenset({".jpg", ".png"})


@pytest.mark.parametrize(
    ("header", "known"),
    [
        ("filename,width,height,class,xmin,ymin,xmax,ymax", (0, 3, "corners", (4, 5, 6, 7), (1, 2))),
        ("filename,cell_type,xmin,xmax,ymin,ymax", (0, 1, "corners", (2, 4, 3, 5), None)),
        ("Image_Path,X1,Y1,X2,Y2,Label", (0, 5, "corners", (1, 2, 3, 4), None)),
        ("image,x0,y0,x1,y1,name", (0, 5, "corners", (1, 2, 3, 4), None)),
        (
            "Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId",
            (0, 7, "corners", (3, 4, 5, 6), (1, 2)),
        ),
        ("ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax", (0, 2, "corners", (4, 6, 5, 7), None)),
        ("file,x1,y1,x2,y2,x3,y3,x4,y4,class", (0, 9, "quadrilateral", (1, 2, 3, 4, 5, 6, 7, 8), None)),
        ("file,x0,y0,x1,y1,x2,y2,x3,y3,class", (0, 9, "quadrilateral", (1, 2, 3, 4, 5, 6, 7, 8), None)),
        ("image_id,width,height,bbox,source", (0, None, "list", (3,), (1, 2))),
        (
            "label_name,bbox_x,bbox_y,bbox_width,bbox_height,image_name,image_width,image_height",
            (5, 0, "extent", (1, 2, 3, 4), (6, 7)),
        ),
        ("img,x,y,w,h,category", (0, 5, "extent", (1, 2, 3, 4), None)),
        ("file,left,top,right,bottom,species", (0, 5, "corners", (1, 2, 3, 4), None)),
        ("file,x_center,y_center,width,height,label", (0, 5, "centre", (1, 2, 3, 4), None)),
        ("path,label", (0, 1, "none", (), None)),
        ("image,roi_x,roi_y,roi_w,roi_h,xmin,ymin,xmax,ymax", (0, None, "corners", (5, 6, 7, 8), None)),
        ("image,bbox_x,bbox_y,bbox_w,bbox_h,x1,y1,x2,y2", (0, None, "extent", (1, 2, 3, 4), None)),
        ("image,x1,y1,x2,y2,x,y,width,height", (0, None, "corners", (1, 2, 3, 4), (7, 8))),
        ("file,x1,y1,x2,y2,x3,y3,x4,y4,width,height", (0, None, "quadrilateral", (*range(1, 9),), (9, 10))),
    ],
)
def test_header_is_recognized(header, known):
    found = recognize_columns(header.replace(";", ",").split(","))
    assert found[:5] == known


@pytest.mark.parametrize(
    ("header", "known"),
    [
        ("Dateiname,Breite,Höhe,Klasse,xmin,ymin,xmax,ymax", (0, 3, "corners", (4, 5, 6, 7), (1, 2))),
        ("filename,Name,KLASSE,xmin,ymin,xmax,ymax", (0, 2, "corners", (3, 4, 5, 6), None)),
        ("Image,Catégorie,x,y,largeur,hauteur", (0, 1, "extent", (2, 3, 4, 5), None)),
        ("fichier,Classe,xmin,ymin,xmax,ymax", (0, 1, "corners", (2, 3, 4, 5), None)),
        ("Imagen,Etiqueta,x,y,ancho,alto", (0, 1, "extent", (2, 3, 4, 5), None)),
        ("archivo,clase,bbox", (0, 1, "list", (2,), None)),
        ("arquivo,rótulo,x_center,y_center,largura,altura", (0, 1, "centre", (2, 3, 4, 5), None)),
        ("immagine,etichetta,xmin,ymin,xmax,ymax,larghezza,altezza", (0, 1, "corners", (2, 3, 4, 5), (6, 7))),
        ("file,klasa,xmin,ymin,xmax,ymax", (0, 1, "corners", (2, 3, 4, 5), None)),
        ("filename,类别,xmin,ymin,xmax,ymax", (0, 1, "corners", (2, 3, 4, 5), None)),
        ("filename,класс,xmin,ymin,xmax,ymax", (0, 1, "corners", (2, 3, 4, 5), None)),
    ],
)
def test_header_in_another_language_is_recognized(header, known):
    assert recognize_columns(header.split(","))[:5] == known


ONE = "x1,y1,x2,y2,x3,y3,x4,y4"
ZERO = "x0,y0,x1,y1,x2,y2,x3,y3"


@pytest.mark.parametrize("points", [ONE, ZERO, f"{ONE},x5,y5", f"{ZERO},x4,y4", "x1,y1,x2,y2,x3,y3"])
@pytest.mark.parametrize(
    ("box", "form"),
    [
        ("xmin,ymin,xmax,ymax", "corners"),
        ("bbox_xmin,bbox_ymin,bbox_xmax,bbox_ymax", "corners"),
        ("left,top,right,bottom", "corners"),
        ("bbox_x,bbox_y,bbox_w,bbox_h", "extent"),
        ("bbox_x1,bbox_y1,bbox_x2,bbox_y2", "corners"),
        ("x,y,w,h", "extent"),
        ("cx,cy,width,height", "centre"),
        ("bbox", "list"),
    ],
)
def test_stated_box_comes_before_points_and_these_are_named(box, form, points):
    header = f"file,class,{box},{points}".split(",")
    found = recognize_columns(header)
    assert (found.form, found.box) == (form, tuple(range(2, 2 + len(box.split(",")))))
    assert list_unread_shape_columns(found) == points.split(",")
    assert count_rival_points(found, header) == 0


@pytest.mark.parametrize(
    ("points", "number"), [(f"{ONE},x5,y5", 5), (f"{ZERO},x4,y4", 5), ("x1,y1,x2,y2,x3,y3", 3), (ONE, 0)]
)
@pytest.mark.parametrize("prefix", ["", "bbox_"])
def test_points_that_are_not_four_are_no_corners_of_a_box(points, number, prefix):
    header = ["file", *(f"{prefix}{name}" for name in points.split(",")), "class"]
    assert count_rival_points(recognize_columns(header), header) == number


@pytest.mark.parametrize("header", ["", "a,b,c", "xmin,ymin,xmax,ymax,class", "epoch,loss,mAP", "filename"])
def test_other_header_is_not_recognized(header):
    assert recognize_columns(header.split(",")) is None


def test_further_columns_are_kept_and_the_split_is_found():
    found = recognize_columns(
        ["filename", "class", "xmin", "ymin", "xmax", "ymax", "split", "Patient ID", ""]
    )
    assert found.split == 6
    assert found.others == {"split": 6, "Patient ID": 7}


@pytest.mark.parametrize(
    ("row", "known"),
    [
        ("a/b.jpg,1,2,3,4,cat", True),
        ("a/b.jpg,,,,,", True),
        ("a/b.JPG,1.5,2,3,4,cat", True),
        ("a/b.txt,1,2,3,4,cat", False),
        ("a/b.jpg,x,2,3,4,cat", False),
        ("a/b.jpg,1,2,3,4", False),
        ("a/b.jpg,1,2,3,4,cat,320,240", True),
        ("a/b.jpg,1,2,3,4,cat,320,dog", False),
    ],
)
def test_table_without_header_is_recognized(row, known):
    assert (recognize_headerless_row(row.split(","), SUFFIXES) is not None) == known


@given(st.lists(st.text(max_size=12), max_size=12))
def test_any_header_gives_columns_that_exist(header):
    found = recognize_columns(header)
    if found:
        places = {found.image, *found.box, *(found.size or ()), *found.others.values()}
        assert places <= set(range(len(header)))
