"""Broken inputs, made by code: what is wrong, how it is made, and which findings are expected.

A source has one broken item per case beside valid ones. A case writes its file and names the findings that it
must have when defects are fixed. `REFUSED_SOURCES` must stop the stage with one sentence.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from PIL import Image

from tests import sources
from tests.sources import SIZE, write_picture

BOX = "0 0.5 0.5 0.2 0.4\n"
OUTLINE = "0 0.2 0.2 0.6 0.2 0.6 0.6 0.2 0.6\n"
POINTS = "0 0.5 0.5 0.4 0.4 0.4 0.4 2 0.6 0.4 2 0.5 0.6 1\n"

POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 96 80\n%%EndComments\nquit\n"

Make = Callable[[Path], Any]


class Case(NamedTuple):
    """A broken item.

    Attributes:
        name: What is wrong.
        file: The item's file, below images/, or below the source if it starts with labels/.
        make: Writes the file, given its path; None for a valid image.
        label: The text of its label file; None for no label file.
        expected: Verdict and kind of each finding about the file; empty if the item is valid after all.
    """

    name: str
    file: str
    make: Make | None
    label: str | bytes | None
    expected: str

    @property
    def findings(self) -> list[tuple[str, ...]]:
        """Verdict and kind of each finding, sorted."""
        return parse_findings(self.expected)


def parse_findings(expected: str) -> list[tuple[str, ...]]:
    """Read `verdict kind, verdict kind`."""
    return sorted(tuple(pair.split()) for pair in expected.split(", ") if pair)


def encode_picture(path: Path) -> bytes:
    """Return a valid picture, encoded in the format of the path's suffix."""
    data = write_picture(path).read_bytes()
    path.unlink()
    return data


def make_noise(mode: str = "RGB", *, size: tuple[int, int] = SIZE, seed: int = 0) -> Image.Image:
    """Return an image of noise in one of Pillow's modes."""
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


def save_noise(mode: str = "RGB", form: str | None = None, **options: Any) -> Make:
    """Save noise in a mode, in the format of the suffix."""
    return lambda path: make_noise(mode, seed=len(path.name)).save(path, form, **options)


def save_frames(**options: Any) -> Make:
    """Save three pictures as frames or pages of one file."""
    return lambda path: make_noise(seed=1).save(
        path, save_all=True, append_images=[make_noise(seed=2), make_noise(seed=3)], **options
    )


def change_bytes(change: Callable[[bytes], bytes]) -> Make:
    """Write a valid picture with changed bytes."""
    return lambda path: path.write_bytes(change(encode_picture(path)))


def save_high_depth(dtype: type, *, channels: int = 1, lowest: int = 0, highest: int = 65535) -> Make:
    """Save noise with 16 bits or more per value."""

    def make(path: Path) -> None:
        shape = (SIZE[1], SIZE[0], channels)
        values = np.random.default_rng(0).integers(lowest, highest, shape).astype(dtype)
        path.write_bytes(cv2.imencode(path.suffix, values)[1].tobytes())

    return make


def write_png_bomb(path: Path) -> None:
    """Write a small PNG that would decode to 7.5 GB."""
    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 1000)), (b"IEND", b"")]
    packed = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(packed))


def write_sparse_file(path: Path) -> None:
    """Write a file of 2 GiB that uses no disk space."""
    with path.open("wb") as file:
        file.truncate(1 << 31)


def save_rotated(path: Path) -> None:
    """Save a picture that EXIF rotates by 90 degrees."""
    exif = Image.Exif()
    exif[274] = 6
    make_noise().save(path, exif=exif)


def save_transparent(path: Path) -> None:
    image = make_noise("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(SIZE))
    image.save(path)


def link_outside(path: Path) -> None:
    outside = path.parents[2] / "elsewhere"
    path.symlink_to(write_picture(outside / path.name))


def append_box(text: str) -> str:
    return text + BOX


IMAGES = (
    Case("no byte", "empty.jpg", lambda path: path.write_bytes(b""), BOX, "quarantined empty-image"),
    Case("text", "text.jpg", lambda path: path.write_text("no"), BOX, "quarantined unreadable-image"),
    Case(
        "SVG",
        "vector.png",
        lambda path: path.write_text("<svg xmlns='http://www.w3.org/2000/svg'/>"),
        BOX,
        "quarantined unreadable-image",
    ),
    Case(
        "PostScript, which Pillow would have run",
        "script.png",
        lambda path: path.write_bytes(POSTSCRIPT),
        BOX,
        "quarantined unreadable-image",
    ),
    Case(
        "HEIC",
        "phone.heic",
        lambda path: path.write_bytes(b"\0\0\0\x18ftypheic" + b"\0" * 90),
        BOX,
        "quarantined unsupported-format",
    ),
    Case(
        "a JPEG cut short",
        "cut.jpg",
        change_bytes(lambda data: data[: len(data) // 2]),
        BOX,
        "quarantined truncated-image",
    ),
    Case(
        "a JPEG without its last byte",
        "cut_by_one.jpg",
        change_bytes(lambda data: data[:-1]),
        BOX,
        "quarantined truncated-image",
    ),
    Case(
        "a PNG cut short",
        "cut.png",
        change_bytes(lambda data: data[: len(data) // 2]),
        BOX,
        "quarantined truncated-image",
    ),
    Case(
        "a PNG with bytes changed",
        "flipped.png",
        change_bytes(lambda data: data[:200] + b"\0" * 50 + data[250:]),
        BOX,
        "quarantined damaged-image",
    ),
    Case(
        "a header alone",
        "header.png",
        change_bytes(lambda data: data[:33]),
        BOX,
        "quarantined unreadable-image",
    ),
    Case(
        "bytes after a JPEG's end",
        "trailer.jpg",
        change_bytes(lambda data: data + b"trailer"),
        BOX,
        "fixed trailing-bytes",
    ),
    Case(
        "a PNG called .jpg",
        "mislabelled.jpg",
        lambda path: path.write_bytes(encode_picture(path.with_suffix(".png"))),
        BOX,
        "fixed wrong-suffix",
    ),
    Case("EXIF rotation", "turned.jpg", save_rotated, BOX, "noted turned"),
    Case("16 bits of grey", "deep.png", save_high_depth(np.uint16), BOX, "fixed sixteen-bit"),
    Case(
        "16 bits of red, green, blue",
        "deep_colour.png",
        save_high_depth(np.uint16, channels=3),
        BOX,
        "fixed sixteen-bit",
    ),
    Case("16 bits, TIFF", "deep.tif", save_high_depth(np.uint16, channels=3), BOX, "fixed sixteen-bit"),
    Case("12 bits in 16", "dim.png", save_high_depth(np.uint16, highest=999), BOX, "quarantined sixteen-bit"),
    Case(
        "values with a sign, TIFF",
        "signed.tif",
        save_high_depth(np.int16, lowest=-1000, highest=3000),
        BOX,
        "quarantined unsupported-format",
    ),
    Case("floating point", "float.tif", save_high_depth(np.float32), BOX, "quarantined unsupported-format"),
    Case("colours as L*a*b*", "lab.tif", save_noise("LAB"), BOX, "quarantined unsupported-format"),
    Case("one bit", "one_bit.png", save_noise("1"), BOX, "fixed one-bit"),
    Case("a palette", "palette.png", save_noise("P"), BOX, "fixed palette"),
    Case("CMYK", "cmyk.jpg", save_noise("CMYK"), BOX, "fixed cmyk"),
    Case("grey, which training reads", "grey.jpg", save_noise("L"), BOX, ""),
    Case("transparent pixels", "transparent.png", save_transparent, BOX, "fixed alpha"),
    Case("an alpha channel that hides nothing", "opaque.png", save_noise("RGBA"), BOX, ""),
    Case("an animated GIF", "moving.gif", save_frames(), BOX, "fixed animated, fixed unsupported-format"),
    Case("an animated PNG", "moving.png", save_frames(), BOX, "fixed animated"),
    Case("an animated WebP", "moving.webp", save_frames(), BOX, "fixed animated"),
    Case("a TIFF of three pages", "pages.tif", save_frames(), BOX, "fixed animated"),
    Case(
        "a JPEG called .jfif, as Windows saves it",
        "browser.jfif",
        lambda path: path.write_bytes(encode_picture(path.with_suffix(".jpg"))),
        BOX,
        "fixed wrong-suffix",
    ),
    Case("a portable graymap", "old.pgm", save_noise("L"), BOX, "fixed unsupported-format"),
    Case("a portable pixmap", "old.ppm", save_noise(), BOX, "fixed unsupported-format"),
    Case("JPEG 2000", "wavelets.jp2", save_noise(), BOX, "fixed unsupported-format"),
    Case("a decompression bomb", "bomb.png", write_png_bomb, BOX, "quarantined giant-image"),
    Case("2 GiB", "giant.png", write_sparse_file, BOX, "quarantined giant-image"),
    Case(
        "nine pixels high",
        "low.png",
        lambda path: write_picture(path, size=(40, 9)),
        BOX,
        "quarantined tiny-image",
    ),
    Case(
        "a hair's breadth",
        "hair.png",
        lambda path: write_picture(path, size=(1600, 15)),
        BOX,
        "quarantined oblong-image",
    ),
    Case("a pipe", "pipe.jpg", os.mkfifo, BOX, "quarantined special-file"),
    Case(
        "a link to nowhere",
        "dangling.jpg",
        lambda path: path.symlink_to("nowhere"),
        BOX,
        "quarantined missing-image",
    ),
    Case("a link that leads out", "linked.jpg", link_outside, BOX, "noted linked-file"),
    Case("a name that differs in case", "twin.jpg", None, BOX, "fixed same-name"),
    Case("the other one", "TWIN.jpg", None, BOX, "fixed same-name"),
    Case("a name that is no UTF-8", os.fsdecode(b"caf\xe9.jpg"), None, BOX, "fixed awkward-name"),
    Case("a name in Chinese", "图片.jpg", None, BOX, ""),
    Case("a name with spaces and signs", "a b & [c] #1.jpg", None, BOX, ""),
    Case("a very long name", "n" * 240 + ".jpg", None, BOX, "fixed awkward-name"),
    Case("a very long path", "/".join(["d" * 100] * 9) + "/deep.jpg", None, BOX, ""),
    Case("damaged EXIF", "exif.jpg", save_noise(exif=b"Exif\0\0II*\0\xff\xff\xff\xff"), BOX, ""),
)

LABELS = (
    Case("no label", "unlabelled.jpg", None, None, "fixed missing-label"),
    Case("an empty label", "background.jpg", None, "", ""),
    Case(
        "a label alone",
        "labels/orphan.txt",
        lambda path: path.write_text(BOX),
        None,
        "quarantined orphan-label",
    ),
    Case("bytes for a label", "binary.jpg", None, b"\xff\xfe\0\x81", "quarantined unreadable-label"),
    Case(
        "a label file of 2 GiB",
        "giant_label.jpg",
        lambda path: write_sparse_file(write_picture(path).parents[1] / "labels/giant_label.txt"),
        None,
        "quarantined unreadable-label",
    ),
    Case("a label in UTF-16", "utf16.jpg", None, BOX.encode("utf-16"), "quarantined unreadable-label"),
    Case(
        "a byte order mark and Windows line ends",
        "windows.jpg",
        None,
        b"\xef\xbb\xbf" + BOX.encode()[:-1] + b"\r\n",
        "",
    ),
    Case("a line cut short", "line_cut.jpg", None, append_box("0 0.5 0.5 0.2\n"), "dropped-object malformed"),
    Case(
        "a class by name", "worded.jpg", None, append_box("dog 0.5 0.5 0.2 0.4\n"), "dropped-object malformed"
    ),
    Case(
        "a class of one and a half",
        "half.jpg",
        None,
        append_box("1.5 0.5 0.5 0.2 0.4\n"),
        "dropped-object malformed",
    ),
    Case("NaN", "nan.jpg", None, append_box("0 nan 0.5 0.2 0.4\n"), "dropped-object no-number"),
    Case("infinity", "infinite.jpg", None, append_box("0 0.5 inf 0.2 0.4\n"), "dropped-object no-number"),
    Case(
        "a class out of range",
        "unknown.jpg",
        None,
        append_box("9 0.5 0.5 0.2 0.4\n"),
        "dropped-object class-out-of-range",
    ),
    Case(
        "a negative class",
        "negative.jpg",
        None,
        append_box("-1 0.5 0.5 0.2 0.4\n"),
        "dropped-object class-out-of-range",
    ),
    Case("a box outside", "outside.jpg", None, append_box("0 1.5 0.5 0.2 0.4\n"), "dropped-object outside"),
    Case("a box in pixels", "pixels.jpg", None, append_box("0 48 40 20 30\n"), "dropped-object outside"),
    Case("a box partly outside", "partly.jpg", None, append_box("0 0.95 0.5 0.2 0.4\n"), "fixed clipped"),
    Case("an inverted box", "inverted.jpg", None, append_box("0 0.3 0.3 -0.2 0.2\n"), "fixed inverted"),
    Case("a box without area", "flat.jpg", None, append_box("0 0.5 0.5 0 0.4\n"), "dropped-object no-area"),
    Case("a box over everything", "everything.jpg", None, "0 0.5 0.5 1 1\n", "noted covers-everything"),
    Case("a box given twice", "twice.jpg", None, append_box(BOX), "dropped-object duplicate"),
    Case("nothing that can be used", "nothing.jpg", None, "9 0.5 0.5 0.2 0.4\n", "quarantined nothing-left"),
)

POLYGONS = (
    Case("two points", "two.jpg", None, OUTLINE + "0 0.2 0.2 0.6 0.6\n", "dropped-object no-outline"),
    Case(
        "three times one point",
        "still.jpg",
        None,
        OUTLINE + "0 0.2 0.2 0.2 0.2 0.2 0.2\n",
        "dropped-object few-points",
    ),
    Case("a bow tie", "bow.jpg", None, "0 0.2 0.2 0.6 0.6 0.6 0.2 0.2 0.6\n", "fixed self-crossing"),
    Case("partly outside", "partly.jpg", None, "0 0.5 0.2 1.4 0.2 1.4 0.6 0.5 0.6\n", "fixed clipped"),
    Case("outside", "outside.jpg", None, OUTLINE + "0 1.5 0.2 1.9 0.2 1.9 0.6\n", "dropped-object outside"),
    Case("NaN", "nan.jpg", None, OUTLINE + "0 nan 0.2 0.6 0.2 0.6 0.6\n", "dropped-object no-number"),
    Case(
        "points in a line",
        "line.jpg",
        None,
        OUTLINE + "0 0.2 0.2 0.4 0.4 0.6 0.6\n",
        "dropped-object no-area",
    ),
    Case("all of the image", "all.jpg", None, "0 0 0 1 0 1 1 0 1\n", "noted covers-everything"),
    Case("given twice", "twice.jpg", None, OUTLINE * 2, "dropped-object duplicate"),
    Case("boxes among polygons", "mixed.jpg", None, OUTLINE + BOX, "dropped-object no-outline"),
    Case("beyond any image", "far.jpg", None, OUTLINE + "0 1e300 0 1e300 1 0 1\n", "dropped-object outside"),
)

ROTATED = (
    Case("no rectangle", "kite.jpg", None, "0 0.5 0.1 0.6 0.5 0.5 0.6 0.1 0.5\n", "fixed no-rectangle"),
    Case("cut by the border", "cut.jpg", None, "0 0.8 0.2 1.2 0.2 1.2 0.6 0.8 0.6\n", "fixed clipped"),
    Case(
        "outside",
        "outside.jpg",
        None,
        OUTLINE + "0 1.2 0.2 1.4 0.2 1.4 0.6 1.2 0.6\n",
        "dropped-object outside",
    ),
    Case(
        "without area",
        "flat.jpg",
        None,
        OUTLINE + "0 0.2 0.2 0.6 0.2 0.6 0.2 0.2 0.2\n",
        "dropped-object no-area",
    ),
    Case("NaN", "nan.jpg", None, OUTLINE + "0 nan 0.2 0.6 0.2 0.6 0.6 0.2 0.6\n", "dropped-object no-number"),
)

POSES = (
    Case(
        "a point outside", "outside.jpg", None, POINTS.replace("0.5 0.6 1", "1.5 0.6 1"), "fixed hidden-point"
    ),
    Case(
        "a point that is no number",
        "nan.jpg",
        None,
        POINTS.replace("0.5 0.6 1", "nan 0.6 1"),
        "fixed hidden-point",
    ),
    Case(
        "no point labelled", "none.jpg", None, "0 0.5 0.5 0.4 0.4" + " 0 0 0" * 3 + "\n", "noted no-keypoints"
    ),
    Case("two points of three", "two.jpg", None, POINTS + POINTS[:-9] + "\n", "dropped-object malformed"),
)


def write_yolo_source(
    folder: Path, cases: tuple[Case, ...], *, label: str = BOX, sound: int = 6, **data: Any
) -> Path:
    """Write a YOLO source with some valid images and the cases."""
    sources.write_yolo_source(folder, {f"sound_{number}": label for number in range(sound)}, **data)
    for case in cases:
        if "/" in case.file and case.file.startswith("labels/"):
            case.make(folder / case.file)
            continue
        image = folder / "images" / case.file
        text = (folder / "labels" / case.file).with_suffix(".txt")
        for path in (image, text):
            path.parent.mkdir(parents=True, exist_ok=True)
        (case.make or write_picture)(image)
        if case.label is not None:
            text.write_bytes(case.label if isinstance(case.label, bytes) else case.label.encode())
    return folder


COCO_ROWS: dict[str, tuple[list[dict[str, Any]], dict[str, Any], str]] = {
    "missing.jpg": ([{}], {}, "quarantined missing-image"),
    "mismatch.jpg": ([{}], {"width": 48, "height": 40}, "quarantined size-mismatch"),
    "swapped.jpg": ([{}], {"width": SIZE[1], "height": SIZE[0]}, "quarantined size-mismatch"),
    "backwards.jpg": ([{"bbox": [50, 60, -40, -40]}], {}, "fixed inverted"),
    "words.jpg": ([{"bbox": ["a", 2, 3, 4]}, {}], {}, "dropped-object malformed"),
    "short.jpg": ([{"bbox": [1, 2, 3]}, {}], {}, "dropped-object malformed"),
    "nan.jpg": ([{"bbox": [float("nan"), 2, 30, 40]}, {}], {}, "dropped-object malformed"),
    "huge.jpg": ([{"bbox": [10**400, 2, 30, 40]}, {}], {}, "dropped-object malformed"),
    "category.jpg": ([{"category_id": 77}, {}], {}, "dropped-object class-out-of-range"),
    "../outside.jpg": ([{}], {}, "quarantined missing-image"),
}
"""Entries of a COCO file: annotations of the image, changes to its image record, and expected findings."""


def write_coco_source(folder: Path) -> Path:
    """Write a COCO source: six valid images, COCO_ROWS, an unlisted image, an annotation without image."""
    listed = {f"sound_{number}.jpg": [{}] for number in range(6)}
    listed |= {name: rows for name, (rows, _, _) in COCO_ROWS.items()}
    file = folder / "annotations/instances.json"
    sources.write_coco_file(file, listed, categories={1: "cat"})
    for name in (*listed, "unlisted.jpg"):
        if name not in {"missing.jpg", "../outside.jpg"}:
            write_picture(folder / "images" / name)
    write_picture(folder.parent / "outside.jpg")
    data = json.loads(file.read_text())
    for image in data["images"]:
        image |= COCO_ROWS.get(image["file_name"], ([], {}, ""))[1]
    stray = {"id": 999, "image_id": 4711, "category_id": 1, "bbox": [1, 2, 30, 40]}
    data["annotations"].append(stray)
    file.write_text(json.dumps(data))
    return folder


# ---- sources that are refused


def with_data_yaml(text: str) -> Make:
    """Write a YOLO source with this data.yaml."""

    def make(folder: Path) -> Path:
        sources.write_yolo_source(folder, {"one": BOX}, names=None)
        (folder / "data.yaml").write_text(text)
        return folder

    return make


def build_yaml_bomb(key: str) -> str:
    """Return YAML whose value under `key` would take gigabytes if its references were expanded."""
    grown = "".join(f"k{level}: &k{level} [{', '.join([f'*k{level - 1}'] * 9)}]\n" for level in range(1, 10))
    return f"train: images\nnames: [a]\nk0: &k0 [lol, lol]\n{grown}{key}: *k9\n"


def pack_zip(*members: tuple[str | zipfile.ZipInfo, bytes]) -> Make:
    def make(folder: Path) -> Path:
        with zipfile.ZipFile(folder.with_suffix(".zip"), "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in members:
                archive.writestr(name, data)
        return folder.with_suffix(".zip")

    return make


def pack_tar(*members: tuple[str, bytes | dict[str, Any]], suffix: str = ".tar") -> Make:
    """Write a tar; each member has contents, or fields of its header instead."""

    def make(folder: Path) -> Path:
        path = folder.with_suffix(suffix)
        with tarfile.open(path, "w:gz" if suffix.endswith("gz") else "w") as archive:
            for name, what in members:
                info = tarfile.TarInfo(name)
                for key, value in what.items() if isinstance(what, dict) else ():
                    setattr(info, key, value)
                data = what if isinstance(what, bytes) else b""
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
        return path

    return make


def truncate(make: Make, length: Callable[[int], int]) -> Make:
    def make_truncated(folder: Path) -> Path:
        path = make(folder)
        data = path.read_bytes()
        path.write_bytes(data[: length(len(data))])
        return path

    return make_truncated


def build_link_header(name: str) -> zipfile.ZipInfo:
    """Return the header of a symbolic link in a zip."""
    info = zipfile.ZipInfo(name)
    info.external_attr = 0o120777 << 16
    return info


def write_encrypted_zip(folder: Path) -> Path:
    path = pack_zip(("a.jpg", b"x"))(folder)
    data = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + offset] |= 1
    path.write_bytes(data)
    return path


def write_tar_bomb(folder: Path) -> Path:
    """Write a tar.gz whose header announces a terabyte."""
    info = tarfile.TarInfo("a.jpg")
    info.size = 1 << 40
    path = folder.with_suffix(".tar.gz")
    path.write_bytes(gzip.compress(info.tobuf(tarfile.GNU_FORMAT)))
    return path


def write_huge_header(folder: Path) -> Path:
    """Write a tar.gz with an extended header of 100 MB, which tarfile would read into memory."""
    info = tarfile.TarInfo("././@PaxHeader")
    info.type, info.size = tarfile.XHDTYPE, 100_000_000
    path = folder.with_suffix(".tar.gz")
    path.write_bytes(gzip.compress(info.tobuf(tarfile.USTAR_FORMAT) + b"\0" * 1024))
    return path


def write_bytes(data: bytes, suffix: str) -> Make:
    def make(folder: Path) -> Path:
        path = folder.with_suffix(suffix)
        path.write_bytes(data)
        return path

    return make


LEADS_OUT, LINKS = "holds a name that leads out of it", "holds a link or a device"
DAMAGED, BOMB = "cannot be unpacked, it may be damaged or cut short", "as a decompression bomb does"
WHOLE = pack_tar(("a.txt", b"x" * 700), ("b.txt", b"y" * 700))

REFUSED_SOURCES: dict[str, tuple[Make, str]] = {
    "data.yaml that would run code": (
        with_data_yaml("train: images\nnames: !!python/object/apply:os.system ['touch ran']\n"),
        "plain YAML",
    ),
    "data.yaml with a download that is a script": (
        with_data_yaml("train: images\nnames: [a]\ndownload: |\n  import os\n  os.system('touch ran')\n"),
        "`download:`",
    ),
    "data.yaml that names folders that are not there": (
        with_data_yaml("path: gone\ntrain: nowhere\nval: nowhere\nnames: [a]\n"),
        "no images",
    ),
    "data.yaml that is no YAML": (with_data_yaml("train: [images\nnames: {a"), "plain YAML"),
    "data.yaml: a billion laughs for a split": (with_data_yaml(build_yaml_bomb("val")), "neither a folder"),
    "data.yaml: a billion laughs for names": (
        with_data_yaml(build_yaml_bomb("x").replace("names: [a]", "").replace("x:", "names:")),
        "not a list or a mapping",
    ),
    "data.yaml: a billion laughs for the path": (
        with_data_yaml(build_yaml_bomb("path")),
        "not a text or a number",
    ),
    "data.yaml: a billion laughs for the number of classes": (
        with_data_yaml(build_yaml_bomb("nc")),
        "not a text or a number",
    ),
    "data.yaml that contains itself": (
        with_data_yaml("train: &x [images, *x]\nnames: [a]\n"),
        "plain YAML",
    ),
    "a source that is not there": (lambda folder: folder / "nowhere", "does not exist"),
    "an empty folder": (lambda folder: folder.mkdir() or folder, "no annotations recognized"),
    "zip: ..": (pack_zip(("../a.jpg", b"x")), LEADS_OUT),
    "zip: .. after a folder": (pack_zip(("a/../../b.jpg", b"x")), LEADS_OUT),
    "zip: .. as Windows writes it": (pack_zip(("..\\a.jpg", b"x")), LEADS_OUT),
    "zip: an absolute name": (pack_zip(("/etc/x", b"x")), LEADS_OUT),
    "zip: a drive": (pack_zip(("C:\\x", b"x")), LEADS_OUT),
    "zip: a link": (pack_zip((build_link_header("a.jpg"), b"/etc/hostname")), LINKS),
    "zip: a bomb": (pack_zip(("a.png", b"\0" * 210_000_000)), BOMB),
    "zip: cut short": (
        truncate(pack_zip(("a.jpg", os.urandom(2000))), lambda length: length // 2),
        "is a zip that is damaged or cut short",
    ),
    "zip: without its last bytes": (
        truncate(pack_zip(("a.jpg", os.urandom(2000))), lambda length: length - 20),
        "is a zip that is damaged or cut short",
    ),
    "zip: encrypted": (write_encrypted_zip, "is encrypted"),
    "tar: one name twice": (pack_tar(("a.jpg", b"x"), ("./a.jpg", b"y")), DAMAGED),
    "tar: ..": (pack_tar(("../a.jpg", b"x")), LEADS_OUT),
    "tar: an absolute name": (pack_tar(("/tmp/a.jpg", b"x")), LEADS_OUT),
    "tar: a symbolic link": (
        pack_tar(("a.jpg", {"type": tarfile.SYMTYPE, "linkname": "/etc/hostname"})),
        LINKS,
    ),
    "tar: a hard link": (pack_tar(("a.jpg", {"type": tarfile.LNKTYPE, "linkname": "../b.jpg"})), LINKS),
    "tar: a device": (pack_tar(("a.jpg", {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 5})), LINKS),
    "tar: a pipe": (pack_tar(("a.jpg", {"type": tarfile.FIFOTYPE})), LINKS),
    "tar: a file that is a folder too": (pack_tar(("a", b"x"), ("a/b.jpg", b"y")), DAMAGED),
    "tar: a name too long for the disk": (pack_tar(("a" * 300 + ".jpg", b"x")), DAMAGED),
    "tar: cut in a file": (truncate(WHOLE, lambda _: 1536 + 600), DAMAGED),
    "tar: cut between files": (truncate(WHOLE, lambda _: 1536), DAMAGED),
    "tar: cut in the first header": (truncate(WHOLE, lambda _: 300), "is damaged or cut short"),
    "tar.gz: cut in the first header": (
        truncate(pack_tar(("a.txt", os.urandom(9000)), suffix=".tar.gz"), lambda _: 30),
        DAMAGED,
    ),
    "tar.gz: cut": (
        truncate(pack_tar(("a.txt", os.urandom(9000)), suffix=".tar.gz"), lambda length: length // 2),
        DAMAGED,
    ),
    "tar.gz: a bomb": (write_tar_bomb, BOMB),
    "tar.gz: a header that fills the memory": (write_huge_header, "is damaged or cut short"),
    "no archive": (write_bytes(b"no archive at all", ""), "neither a folder nor"),
    "a page in place of the archive": (write_bytes(b"<!DOCTYPE html>", ".zip"), "named like an archive"),
    "an archive of no byte": (write_bytes(b"", ".tar"), "is empty"),
}
