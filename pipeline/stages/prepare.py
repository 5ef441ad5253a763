"""prepare: source images -> one checked, split, canonical YOLO dataset."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from pipeline.config import Config, Data
from pipeline.core import defects, division, layout, naming, statistics
from pipeline.core.defects import Defect
from pipeline.core.manifest import Item, Manifest
from pipeline.core.refusal import Refused
from pipeline.core.splits import Sample
from pipeline.core.statistics import Described
from pipeline.edges import dataset, datasets, files, intake, samples
from pipeline.edges.datasets import Source
from pipeline.edges.intake import Outcome, Taken

UNLISTED = "in none of the splits that came with the data (data.keep_split=false would use it)"


def run(config: Config) -> None:
    """Read or draw the images, check them, divide them, and write data/prepared in one piece."""
    with files.folder_in_one_piece(layout.PREPARED) as folder:
        dataset.lay_out(folder)
        source, outcomes = _take_in(config.data, seed=config.data.seed, hold=folder / "held")
        found = [*source.defects, *(defect for _, noted in outcomes for defect in noted)]
        taken = [image for image, _ in outcomes if image]
        divided, remarks = _divide(taken, config.data, found, seed=config.data.seed)
        used = [image for image in taken if image.source in divided]
        found += [Defect(i.source, "quarantined", UNLISTED) for i in taken if i.source not in divided]
        items = _place(folder, used, divided)
        shutil.rmtree(folder / "held")
        manifest = dataset.write_manifest(folder, items, names=source.names, task="detect", keypoints=None)
        files.write(folder / "statistics.json", _statistics(used, divided, source.names))
        remarks = [*source.remarks, *remarks]
        files.write(folder / "defects.json", defects.render(found, used=len(used), remarks=remarks))
        shown, seed = config.data.samples, config.data.seed
        samples.write(folder, manifest.of("train"), source.names, count=shown, seed=seed)
    _report(manifest, found, remarks)


def _take_in(data: Data, *, seed: int, hold: Path) -> tuple[Source, list[Outcome]]:
    """Read the source, or draw it; copies of the usable images are kept in `hold`."""
    hold.mkdir()
    if data.source is None:
        return _draw(data, seed=seed, hold=hold)
    source = datasets.read(data.format, files.project_root() / Path(data.source).expanduser())
    known = len(source.names)
    work = [
        partial(intake.take, entry, known=known, hold=hold / str(number))
        for number, entry in enumerate(source.images)
    ]
    return source, list(intake.each(work))


def _draw(data: Data, *, seed: int, hold: Path) -> tuple[Source, list[Outcome]]:
    from pipeline.edges.drawing import shapes, steel  # only where images are drawn

    drawing = {"demo": steel, "shapes": shapes}[data.format]
    draw = partial(drawing.draw, seed=seed, pixels=data.pixels)
    work = [
        partial(intake.drawn, index, draw=draw, hold=hold / str(index)) for index in range(data.images or 0)
    ]
    return Source(drawing.CLASSES, ()), list(intake.each(work))


def _divide(
    taken: Sequence[Taken], data: Data, found: Sequence[Defect], *, seed: int
) -> tuple[dict[str, str], list[str]]:
    """Return the split of each image that is used, and what a user should know of it."""
    if not taken:
        first = f"; the first: {found[0].file}: {found[0].reason}" if found else ""
        number = defects.count(found, used=0).found
        raise Refused(f"none of the {number} images in {data.source} can be used{first}")
    weights = data.split.model_dump()
    given = {image.source: image.split for image in taken if image.split} if data.keep_split else {}
    chosen = [_sample(image) for image in taken if not given or image.source in given]
    if not given:
        return division.divide(chosen, weights, seed=seed), []
    divided = division.keep(given, chosen, weights, seed=seed)
    short = division.missing(given, weights)
    remarks = [f"the source has no {' and no '.join(short)} split: carved out of train"] if short else []
    if straddling := division.straddling(chosen, divided):
        remarks.append(
            f"{straddling} images lie in more than one split, byte for byte: "
            "so it came with the data (data.keep_split=false divides it anew)"
        )
    return divided, remarks


def _sample(image: Taken) -> Sample:
    return Sample(image.source, image.sha256, frozenset(image.classes.tolist()))


def _place(folder: Path, used: Sequence[Taken], divided: Mapping[str, str]) -> list[Item]:
    stems = naming.stems([image.source for image in used])
    return [
        intake.place(folder, image, split=divided[image.source], stem=stem)
        for image, stem in zip(used, stems, strict=True)
    ]


def _statistics(used: Sequence[Taken], divided: Mapping[str, str], names: Sequence[str]) -> str:
    described = [
        Described(
            divided[image.source], image.size, image.classes.tolist(), image.boxes[:, 2:] - image.boxes[:, :2]
        )
        for image in used
    ]
    return json.dumps(statistics.describe(described, names), indent=2, ensure_ascii=False) + "\n"


def _unlearnable(manifest: Manifest, objects: Mapping[str, int]) -> list[str]:
    absent = [name for name, number in manifest.counts("train").items() if objects[name] and not number]
    return [f"no objects in train to learn from: {', '.join(absent)}"] if absent else []


def _report(manifest: Manifest, found: Sequence[Defect], remarks: Sequence[str]) -> None:
    """Print what was made, and what was rejected, for a person to read."""
    counts = defects.count(found, used=len(manifest.items))
    shares = ", ".join(f"{split} {len(manifest.of(split))}" for split in layout.SPLITS)
    objects = {name: sum(manifest.counts(split)[name] for split in layout.SPLITS) for name in manifest.names}
    listed = ", ".join(f"{name} {number}" for name, number in objects.items() if number)
    lines = [
        f"{counts.used} of {counts.found} images ({shares}), {sum(objects.values())} objects ({listed})",
        *remarks,
        *_unlearnable(manifest, objects),
        *defects.summary(found),
    ]
    if found:
        lines.append(f"every finding: {layout.PREPARED / 'defects.json'}")
    print("\n".join(f"prepare: {line}" for line in lines))
