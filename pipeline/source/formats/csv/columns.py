"""Tables of boxes: which column holds what, in the many spellings that people use."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple
from unicodedata import normalize

BoxColumnForm = Literal["corners", "extent", "centre", "list", "none", "each"]

_IMAGE: Final = (
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
_CLASS: Final = (
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
_SPLIT: Final = ("split", "subset", "set", "partition", "usage")
_CORNERS: Final = (
    ("xmin", "ymin", "xmax", "ymax"),
    ("minx", "miny", "maxx", "maxy"),
    ("x1", "y1", "x2", "y2"),
    ("x0", "y0", "x1", "y1"),
    ("xtl", "ytl", "xbr", "ybr"),
    ("left", "top", "right", "bottom"),
    ("startx", "starty", "endx", "endy"),
)
_CENTRES: Final = (
    ("xcenter", "ycenter"),
    ("xcentre", "ycentre"),
    ("centerx", "centery"),
    ("xc", "yc"),
    ("cx", "cy"),
)
_STARTS: Final = (("x", "y"), ("left", "top"), ("xmin", "ymin"), ("x1", "y1"))
_ABROAD: Final = (
    *(("breite", "hohe"), ("breite", "hoehe"), ("largeur", "hauteur"), ("ancho", "alto")),
    *(("largura", "altura"), ("larghezza", "altezza")),
)
_EXTENTS: Final = (("w", "h"), ("width", "height"), *_ABROAD)
_BOXES: Final[tuple[tuple[BoxColumnForm, tuple[str, ...]], ...]] = (
    *(("corners", names) for names in _CORNERS),
    *(("centre", (*centre, *extent)) for extent in _EXTENTS for centre in _CENTRES),
    *(("extent", (*start, *extent)) for extent in _EXTENTS for start in _STARTS),
)
_LIST: Final = ("bbox", "box", "boundingbox", "bboxes", "coordinates")
_SIZES: Final = (
    ("imagewidth", "imageheight"),
    ("imgwidth", "imgheight"),
    ("imgw", "imgh"),
    ("width", "height"),
    *_ABROAD,
)
_PREFIX: Final = re.compile(r"^(bbox|box|boundingbox|roi|rect)(?=.)")


class CsvColumns(NamedTuple):
    """The columns of a table, by their places.

    Attributes:
        image: The image's name.
        label: The class; None where there is but one class, or no class column.
        form: How a box is given: two corners, a corner and the extent, the centre and the extent, all in one
            column, or not at all (a class for each whole image, in one column or with a column each).
        box: The four columns of the box, in the order of the form, or the one; or those of the classes.
        size: Width and height of the image.
        split: Train, val or test.
        others: Further columns by name, and that of the split.
    """

    image: int
    label: int | None
    form: BoxColumnForm
    box: tuple[int, ...]
    size: tuple[int, int] | None
    split: int | None
    others: Mapping[str, int]


def recognise(header: Sequence[str]) -> CsvColumns | None:
    """Find out what the columns of a table are; None where it is no table of images with classes or boxes."""
    places = {name: place for place, name in reversed(list(enumerate(map(_plain, header))))}
    image = _first(places, _IMAGE)
    if image is None:
        return None
    form, box = _box(places)
    taken = {image, *box}
    size = _size({name: place for name, place in places.items() if place not in taken})
    split = _first(places, _SPLIT)
    taken |= {*(size or ())}
    label = _label({name: place for name, place in places.items() if place not in {*taken, split}})
    if label is None and form == "none":
        return None
    taken.add(image if label is None else label)
    others = {name.strip(): place for place, name in enumerate(header) if place not in taken and name.strip()}
    return CsvColumns(image, label, form, box, size, split, others)


def by_class(header: Sequence[str], rows: Sequence[Sequence[str]]) -> CsvColumns | None:
    """Recognise a column for each class: 1 where an image has it, 0 where not."""
    places = {name: place for place, name in reversed(list(enumerate(map(_plain, header))))}
    image = _first(places, _IMAGE)
    classes = tuple(place for place, name in enumerate(header) if place != image and name.strip())
    if image is None or len(classes) < 2 or not rows:
        return None
    told = all(place < len(row) and row[place].strip() in {"0", "1"} for row in rows for place in classes)
    return CsvColumns(image, None, "each", classes, None, None, {}) if told else None


def without_header(row: Sequence[str], suffixes: frozenset[str]) -> CsvColumns | None:
    """Recognise rows of `image, x1, y1, x2, y2, class` that no header names."""
    if len(row) != 6 or not row[0].lower().endswith(tuple(suffixes)):
        return None
    if not (all(map(_number, row[1:5])) or not any(cell.strip() for cell in row[1:])):
        return None
    return CsvColumns(0, 5, "corners", (1, 2, 3, 4), None, None, {})


def _plain(name: str) -> str:
    """Return the letters and digits of a name alone, without capitals and accents."""
    return re.sub(r"[\W_]", "", normalize("NFKD", name).casefold())


def _first(places: Mapping[str, int], names: Sequence[str]) -> int | None:
    return next((places[name] for name in names if name in places), None)


def _box(places: Mapping[str, int]) -> tuple[BoxColumnForm, tuple[int, ...]]:
    """Find the four columns of a box, all with a prefix such as bbox_ or none with it; or the one."""
    short = {_PREFIX.sub("", name): place for name, place in places.items() if _PREFIX.match(name)}
    for form, names in _BOXES:
        for known in (short, places):
            if all(name in known for name in names):
                return form, tuple(known[name] for name in names)
    column = _first(places, _LIST)
    return ("none", ()) if column is None else ("list", (column,))


def _size(places: Mapping[str, int]) -> tuple[int, int] | None:
    found = next((names for names in _SIZES if all(name in places for name in names)), None)
    return (places[found[0]], places[found[1]]) if found else None


def _label(places: Mapping[str, int]) -> int | None:
    """Find the class by its usual names, or else by a name that ends in one, such as cell_type."""
    usual = _first(places, _CLASS)
    ending = [
        place for name, place in places.items() if name.endswith(("class", "label", "type", "category"))
    ]
    return usual if usual is not None else next(iter(ending), None)


def _number(text: str) -> bool:
    return re.fullmatch(r"\s*-?\d+(\.\d*)?\s*", text) is not None
