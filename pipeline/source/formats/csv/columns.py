"""Recognize the columns of a table of boxes by their names, in many spellings."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final, Literal, NamedTuple
from unicodedata import normalize

from pipeline.source.formats.csv.numbered_points import drop_point_series, find_four_corners, list_points

BoxColumnForm = Literal["corners", "extent", "centre", "quadrilateral", "list", "none", "each"]

_IMAGE_NAMES: Final = (
    *(
        "filename",
        "file",
        "image",
        "imagename",
        "imagefile",
        "imagefilename",
        "imagepath",
        "filepath",
        "path",
    ),
    *(
        "img",
        "imgname",
        "imgpath",
        "imageid",
        "imgid",
        "imageurl",
        "imagefilepath",
        "picture",
        "photo",
        "frame",
    ),
    *("bild", "bildname", "bilddatei", "datei", "dateiname", "fichier", "nomfichier", "nomdufichier"),
    *("imagen", "archivo", "nombrearchivo", "imagem", "arquivo", "nomearquivo", "immagine", "nomefile"),
)
_CLASS_NAMES: Final = (
    *("class", "label", "classname", "labelname", "category", "categoryname", "object", "objectname"),
    *("klasse", "klassenname", "kategorie", "classe", "categorie", "etiquette", "clase", "categoria"),
    *("etiqueta", "rotulo", "etichetta", "klass", "klasa", "kategoria", "etykieta", "класс", "类别", "标签"),
    *(
        "objectclass",
        "annotation",
        "tag",
        "species",
        "classid",
        "labelid",
        "categoryid",
        "target",
        "type",
        "name",
    ),
)
_SPLIT_NAMES: Final = ("split", "subset", "set", "partition", "usage")
_CORNER_NAMES: Final = (
    ("xmin", "ymin", "xmax", "ymax"),
    ("minx", "miny", "maxx", "maxy"),
    ("x1", "y1", "x2", "y2"),
    ("x0", "y0", "x1", "y1"),
    ("xtl", "ytl", "xbr", "ybr"),
    ("left", "top", "right", "bottom"),
    ("startx", "starty", "endx", "endy"),
)
_UNREAD_SHAPE_NAMES: Final = frozenset(
    {
        *("polygon", "polygons", "segmentation", "segmentations", "outline", "contour", "points"),
        *("mask", "rle", "encodedpixels", "keypoints", "landmarks"),
    }
)
_CENTER_NAMES: Final = (
    ("xcenter", "ycenter"),
    ("xcentre", "ycentre"),
    ("centerx", "centery"),
    ("xc", "yc"),
    ("cx", "cy"),
)
_START_NAMES: Final = (("x", "y"), ("left", "top"), ("xmin", "ymin"), ("x1", "y1"))
_FOREIGN_SIZE_NAMES: Final = (
    *(("breite", "hohe"), ("breite", "hoehe"), ("largeur", "hauteur"), ("ancho", "alto")),
    *(("largura", "altura"), ("larghezza", "altezza")),
)
_EXTENT_NAMES: Final = (("w", "h"), ("width", "height"), *_FOREIGN_SIZE_NAMES)
_BOX_NAMES: Final[tuple[tuple[BoxColumnForm, tuple[str, ...]], ...]] = (
    *(("corners", names) for names in _CORNER_NAMES),
    *(("centre", (*centre, *extent)) for extent in _EXTENT_NAMES for centre in _CENTER_NAMES),
    *(("extent", (*start, *extent)) for extent in _EXTENT_NAMES for start in _START_NAMES),
)
_BOX_LIST_NAMES: Final = ("bbox", "boundingbox", "bboxes", "box", "coordinates")
_BOX_NAMES_OF_A_LIST: Final = _BOX_LIST_NAMES[:3]
"""Names of a column that surely holds a box; `box` may be its number."""
_IMAGE_SIZE_NAMES: Final = (
    ("imagewidth", "imageheight"),
    ("imgwidth", "imgheight"),
    ("imgw", "imgh"),
    ("width", "height"),
    *_FOREIGN_SIZE_NAMES,
)
_AUTOML_SPLITS: Final = frozenset({"train", "training", "validate", "validation", "test", "unassigned"})
SCORE_COLUMN: Final = "score"
"""What the column of scores of a table without a header is called."""
_SCORE: Final = re.compile(r"0?[.,]\d+|[01][.,]0*")
_MIN_NUMBERED: Final = 3
BOX_PREFIX: Final = re.compile(r"^(bbox|box|boundingbox|roi|rect)(?=.)")
"""What tools put before the names of the columns of a box, as normalized."""


class CsvColumns(NamedTuple):
    """The columns of a table, as indices.

    Attributes:
        image: The image name.
        label: The class; None if there is only one class, or a column for each class.
        form: How a box is stated. corners: two corners; extent: a corner, width and height; centre: the
            center, width and height; quadrilateral: four corners; list: all numbers in one column; none: no
            box, the whole image has a class; each: no box, a column for each class.
        box: The columns of the box in the order of `form`: four, eight of a quadrilateral, or one; for
            `each`, those of the classes.
        size: Width and height of the image.
        split: train, val or test.
        others: The other columns by name, the split among them.
    """

    image: int
    label: int | None
    form: BoxColumnForm
    box: tuple[int, ...]
    size: tuple[int, int] | None
    split: int | None
    others: Mapping[str, int]


def recognize_columns(header: Sequence[str]) -> CsvColumns | None:
    """Recognize the columns of a table; None if it is not a table of images with classes or boxes."""
    columns = {name: column for column, name in reversed(list(enumerate(map(normalize_header, header))))}
    image = _find_column(columns, _IMAGE_NAMES)
    if image is None:
        return None
    form, box = _find_box_columns(columns)
    taken = {image, *box}
    size = _find_size_columns({name: column for name, column in columns.items() if column not in taken})
    split = _find_column(columns, _SPLIT_NAMES)
    taken |= {*(size or ())}
    label = _find_class_column(
        {name: column for name, column in columns.items() if column not in {*taken, split}}
    )
    if label is None and form == "none":
        return None
    taken.add(image if label is None else label)
    others = {
        name.strip(): column for column, name in enumerate(header) if column not in taken and name.strip()
    }
    return CsvColumns(image, label, form, box, size, split, others)


def recognize_class_columns(header: Sequence[str], rows: Sequence[Sequence[str]]) -> CsvColumns | None:
    """Recognize a table with a column for each class (one-hot encoded): 1 if the image has it, else 0."""
    columns = {name: column for column, name in reversed(list(enumerate(map(normalize_header, header))))}
    image = _find_column(columns, _IMAGE_NAMES)
    classes = tuple(column for column, name in enumerate(header) if column != image and name.strip())
    if image is None or len(classes) < 2 or not rows:
        return None
    is_one_hot = all(
        column < len(row) and row[column].strip() in {"0", "1"} for row in rows for column in classes
    )
    return CsvColumns(image, None, "each", classes, None, None, {}) if is_one_hot else None


def recognize_headerless_row(row: Sequence[str], suffixes: frozenset[str]) -> CsvColumns | None:
    """Recognize a table without a header by its first row: `image, x1, y1, x2, y2, class`.

    Width and height of the image may follow, as in SKU-110K; or a score before or after the class.
    """
    if len(row) == 7 and (score := _find_score(row)):
        found = recognize_headerless_row([*row[:score], *row[score + 1 :]], suffixes)
        return found and found._replace(label=11 - score, others={SCORE_COLUMN: score})
    if found := _recognize_tool_row(row, tuple(suffixes)):
        return found
    size = (6, 7) if len(row) == 8 and all(map(_is_number, row[6:])) else None
    if (len(row) != 6 and not size) or not row[0].lower().endswith(tuple(suffixes)):
        return None
    if not (all(map(_is_number, row[1:5])) or not any(cell.strip() for cell in row[1:6])):
        return None
    return CsvColumns(0, 5, "corners", (1, 2, 3, 4), size, None, {})


def _recognize_tool_row(row: Sequence[str], suffixes: tuple[str, ...]) -> CsvColumns | None:
    """Recognize the tables of makesense.ai (class, x, y, width, height, image, its size) and of AutoML."""
    if len(row) == 8 and row[5].strip().lower().endswith(suffixes):
        is_class = not _is_number(row[0]) or row[0].strip().isdecimal()
        is_box = all(map(_is_number, (*row[1:5], *row[6:])))
        return CsvColumns(5, 0, "extent", (1, 2, 3, 4), (6, 7), None, {}) if is_box and is_class else None
    if (
        len(row) == 11
        and row[0].strip().lower() in _AUTOML_SPLITS
        and row[1].strip().lower().endswith(suffixes)
    ):
        return CsvColumns(1, 2, "corners", (3, 4, 7, 8), None, 0, {"split": 0})
    return None


def is_class_unclear(columns: CsvColumns, rows: Sequence[Sequence[str]]) -> bool:
    """Check whether numbers before the box may be no classes, but numbers of the rows, or x1 of a box.

    Args:
        columns: The columns of a table without a header.
        rows: The cells of each row.
    """
    cells = [[cell.strip() for cell in row[:5]] for row in rows]
    is_numeric = all(len(row) == 5 and row[0].isdecimal() and all(map(_is_number, row)) for row in cells)
    if columns.label != 0 or len(rows) < _MIN_NUMBERED or not is_numeric:
        return False
    values = [[float(cell.replace(",", ".")) for cell in row] for row in cells]
    first, *_, fifth = zip(*values, strict=True)
    are_rows = all(after == before + 1 for before, after in pairwise(first))
    are_corners = all(x1 < x2 and y1 < y2 for x1, y1, x2, y2, _ in values)  # and the class is the fifth
    return are_rows or (are_corners and len({*first}) > len({*fifth}))


def normalize_header(name: str) -> str:
    """Reduce a column name to letters and digits, in lower case and without accents."""
    return re.sub(r"[\W_]", "", normalize("NFKD", name).casefold())


def _find_column(columns: Mapping[str, int], names: Sequence[str]) -> int | None:
    return next((columns[name] for name in names if name in columns), None)


def _find_box_columns(columns: Mapping[str, int]) -> tuple[BoxColumnForm, tuple[int, ...]]:
    """Find the four columns of a box, or one with all numbers; else the eight of four corners.

    Columns with a prefix such as bbox_ come first: width and height without it may be those of the image.
    roi_ may be a part of the image, and does not. Three or more numbered points may be landmarks: they are
    tried last.
    """
    prefixes = {name: match[0] for name in columns if (match := BOX_PREFIX.match(name))}
    prefixed = {name.removeprefix(prefix): columns[name] for name, prefix in prefixes.items()}
    of_boxes = {
        name.removeprefix(prefix): columns[name] for name, prefix in prefixes.items() if prefix != "roi"
    }
    without_points = {**drop_point_series(columns), **drop_point_series(prefixed)}
    if found := _find_named_box(drop_point_series(of_boxes)) or _find_named_box(without_points):
        return found
    stated = _find_column(columns, _BOX_NAMES_OF_A_LIST)
    corners = find_four_corners(prefixed) or find_four_corners(columns)
    if corners and stated is None:
        return "quadrilateral", corners
    column = _find_column(columns, _BOX_LIST_NAMES)
    if column is not None:
        return "list", (column,)
    return _find_named_box({**columns, **prefixed}) or ("none", ())


def _find_named_box(columns: Mapping[str, int]) -> tuple[BoxColumnForm, tuple[int, ...]] | None:
    found = ((form, names) for form, names in _BOX_NAMES if all(name in columns for name in names))
    return next(((form, tuple(columns[name] for name in names)) for form, names in found), None)


def list_unread_shape_columns(columns: CsvColumns) -> list[str]:
    """Return the names of the columns that are called like outlines, masks, keypoints or numbered points."""
    points = {
        f"{axis}{point}" for point in list_points(map(normalize_header, columns.others)) for axis in "xy"
    }
    return [name for name in columns.others if normalize_header(name) in _UNREAD_SHAPE_NAMES | points]


def _find_size_columns(columns: Mapping[str, int]) -> tuple[int, int] | None:
    found = next((names for names in _IMAGE_SIZE_NAMES if all(name in columns for name in names)), None)
    return (columns[found[0]], columns[found[1]]) if found else None


def _find_class_column(columns: Mapping[str, int]) -> int | None:
    """Find the class column by its usual names, else by a name that ends like one, such as cell_type."""
    usual = _find_column(columns, _CLASS_NAMES)
    ending = [
        column for name, column in columns.items() if name.endswith(("class", "label", "type", "category"))
    ]
    return usual if usual is not None else next(iter(ending), None)


def _find_score(row: Sequence[str]) -> int | None:
    """Return which of the last two cells is a score: a fraction between 0 and 1, or else a 1 after a name."""
    fractions = [column for column in (6, 5) if _SCORE.fullmatch(row[column].strip())]
    after_name = not _is_number(row[5]) and row[6].strip() in {"0", "1"}
    return next(iter(fractions), 6 if after_name else None)


def _is_number(text: str) -> bool:
    return re.fullmatch(r"\s*-?\d+([.,]\d*)?\s*", text) is not None
