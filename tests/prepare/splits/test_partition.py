"""Dividing as prepare does it: groups, splits that came with the data, folds, and what went before."""

from collections import Counter

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.errors import UserError
from pipeline.prepare.duplicates import search
from pipeline.prepare.duplicates.search import SIDE
from pipeline.prepare.images.appearance import signature
from pipeline.prepare.splits import history, partition
from pipeline.prepare.splits.history import (
    NOTHING,
    SplitHistory,
    carry_on,
    name_of,
    parse_all,
    render_all,
    terms_of,
)
from pipeline.prepare.splits.partition import SplitImage, SplitRules

WEIGHTS = {"train": 0.7, "val": 0.15, "test": 0.15}
RULES = SplitRules(WEIGHTS, True, None, True, "refuse", None, 0, 0)


def entry(
    key: str, *, sha: str = "", split: str | None = None, classes=(0,), look: int | None = None
) -> SplitImage:
    return SplitImage(key, (sha or f"sha of {key}").ljust(64, "."), split, frozenset(classes), {}, look)


def entries(count: int, start: int = 0) -> list[SplitImage]:
    return [entry(f"{number:03d}", classes={number % 3}) for number in range(start, start + count)]


def shared(new: dict[str, str], old: dict[str, str]) -> dict[str, str]:
    return {key: new[key] for key in old}


def picture(number: int) -> np.ndarray:
    rng = np.random.default_rng(number)
    return cv2.resize(rng.integers(0, 255, (12, 12), dtype=np.uint8), (96, 96), interpolation=cv2.INTER_CUBIC)


def thumbnails(images: list[np.ndarray]) -> np.ndarray:
    return np.frombuffer(b"".join(map(signature, images)), np.uint8).reshape(-1, SIDE, SIDE)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 25), min_size=2, max_size=5), st.integers(0, 3), st.sampled_from([None, 2, 4]))
def test_images_that_come_later_move_no_old_one(batches, seed, folds):
    rules = RULES._replace(seed=seed, folds=folds)
    made = partition.partition(entries(12), rules, NOTHING)
    count = 12
    for batch in batches:
        count += batch
        grown = partition.partition(entries(count), rules, made.earlier)
        assert shared(grown.splits, made.splits) == made.splits
        sizes = Counter(grown.splits.values())
        assert sizes["test"] == pytest.approx(0.15 * count, abs=2)
        made = grown


def test_without_a_memory_they_would_move():
    made = partition.partition(entries(20), RULES, NOTHING)
    grown = partition.partition(entries(34), RULES, NOTHING)
    assert shared(grown.splits, made.splits) != made.splits


def test_an_image_keeps_its_side_under_another_name_and_when_it_comes_back():
    first = partition.partition(entries(20), RULES, NOTHING)
    (gone, *_) = (key for key, side in first.splits.items() if side == "test")
    without = partition.partition([e for e in entries(20) if e.key != gone], RULES, first.earlier)
    renamed = [e._replace(key=f"x/{e.key}") for e in entries(30)]
    back = partition.partition(renamed, RULES, without.earlier)
    assert {key: back.splits[f"x/{key}"] for key in first.splits} == first.splits


def test_a_new_image_that_ties_train_to_test_takes_the_group_to_test_and_says_so():
    first = partition.partition(entries(20), RULES, NOTHING)
    train = next(key for key, side in first.splits.items() if side == "train")
    test = next(key for key, side in first.splits.items() if side == "test")
    by = RULES._replace(group_by=f"{train}|{test}|0")
    tied = [
        e._replace(columns={"scene": "s" if e.key in {train, test, "new"} else e.key}) for e in entries(20)
    ]
    rules = by._replace(group_by="column:scene")
    grown = partition.partition([*tied, entry("new")._replace(columns={"scene": "s"})], rules, first.earlier)
    assert {grown.splits[key] for key in (train, test, "new")} == {"test"}
    assert any(
        f"1 image moves, tied by new ones to images more held out: {train}" in r for r in grown.remarks
    )


@pytest.mark.parametrize("folds", [2, 5])
def test_each_image_outside_of_test_is_val_in_just_one_fold(folds):
    whole = partition.partition(entries(40), RULES, NOTHING)
    made = [
        partition.partition(entries(40), RULES._replace(folds=folds, fold=fold), NOTHING).splits
        for fold in range(folds)
    ]
    test = {key for key, side in whole.splits.items() if side == "test"}
    for splits in made:
        assert {key for key, side in splits.items() if side == "test"} == test
    vals = [key for splits in made for key, side in splits.items() if side == "val"]
    assert sorted(vals) == sorted(whole.splits.keys() - test)
    numbers = [Counter(side for side in splits.values())["val"] for splits in made]
    assert max(numbers) - min(numbers) <= 1


def test_more_folds_than_groups_are_refused():
    with pytest.raises(UserError, match=r"data\.folds=10 is too many for 9 groups"):
        partition.partition(entries(10), RULES._replace(folds=10), NOTHING)


def test_folds_keep_test_and_the_way_back_too():
    plain = partition.partition(entries(30), RULES, NOTHING)
    data = {**RULES._asdict(), "folds": 3}
    start, _ = carry_on({name_of(plain.earlier.terms): plain.earlier}, data)
    folded = partition.partition(entries(45), RULES._replace(folds=3), start)
    test = {key for key, side in plain.splits.items() if side == "test"}
    assert {key for key in plain.splits if folded.splits[key] == "test"} == test
    start, _ = carry_on({name_of(folded.earlier.terms): folded.earlier}, RULES._asdict())
    again = partition.partition(entries(45), RULES, start)
    assert {key for key in folded.splits if folded.splits[key] == "test"} == {
        key for key in again.splits if again.splits[key] == "test"
    }


def test_near_copies_stay_on_one_side_and_are_listed():
    made, shown = [], []
    for number in range(12):
        image = picture(number)
        looks = [image, image[:, ::-1], np.clip(image * 0.7 + 9, 0, 255).astype(np.uint8)]
        made += [entry(f"{number:02d}{kind}", look=len(shown) + kind) for kind in range(3)]
        shown += looks
    found = partition.partition(made, RULES, NOTHING, thumbnails=thumbnails(shown))
    assert found.copies == [[f"{number:02d}{kind}" for kind in range(3)] for number in range(12)]
    assert all(len({found.splits[key] for key in group}) == 1 for group in found.copies)
    assert len({*found.splits.values()}) == 3
    off = partition.partition(made, RULES._replace(near_duplicates=False), NOTHING)
    assert off.copies == []


def scene(number: int) -> np.ndarray:
    """Return what a camera that stands still saw: the same place, with something small elsewhere in it."""
    image = picture(7)
    top, left = np.random.default_rng(number).integers(8, 80, 2)
    image[top : top + 8, left : left + 8] = 255 if number % 2 else 0
    return image


SCENE = r"of 40 images are near copies of one another, as from a camera that stands still, .*data.near_dup"


@pytest.mark.parametrize(
    ("still", "split", "sentence"),
    [
        (40, None, f"nothing is left for val and test: .*; 40 {SCENE}"),
        (30, ("train", "test"), f"data leaks: .*; 30 {SCENE}"),
    ],
)
def test_a_refusal_over_images_of_one_place_names_the_way_out(still, split, sentence):
    images = [entry(f"{n:02d}", look=n, split=split and split[n % 2]) for n in range(40)]
    shown = thumbnails([scene(n) if n < still else picture(100 + n) for n in range(40)])
    with pytest.raises(UserError, match=sentence):
        partition.partition(images, RULES, NOTHING, thumbnails=shown)
    free = RULES._replace(near_duplicates=False)
    assert set(partition.partition(images, free, NOTHING, thumbnails=shown).splits.values()) >= {"test"}


@pytest.mark.parametrize(("still", "remarks"), [(12, 0), (20, 1)])
def test_many_images_of_one_place_are_remarked_on_where_they_are_a_large_part(still, remarks):
    images = [entry(f"{n:02d}", look=n) for n in range(40)]
    shown = thumbnails([scene(n) if n < still else picture(100 + n) for n in range(40)])
    made = partition.partition(images, RULES, NOTHING, thumbnails=shown)
    assert len(made.copies[0]) == still
    assert sum("stands still" in remark for remark in made.remarks) == remarks


def test_too_many_images_of_one_place_are_refused_before_hours_are_spent(monkeypatch):
    monkeypatch.setattr(search, "MOST", 100)
    images = [entry(f"{n:02d}", look=n) for n in range(40)]
    with pytest.raises(
        UserError, match=r"^some \d+ pairs of images look alike, .* set data.near_duplicates=f"
    ):
        partition.partition(images, RULES, NOTHING, thumbnails=thumbnails([scene(n) for n in range(40)]))


def came(*, sha: str = "", look: int | None = None, number: int = 8) -> list[SplitImage]:
    parts = ("train", "val", "test")
    plain = [entry(f"{part}/{n}", split=part) for part in parts for n in range(number)]
    leaking = [entry(f"{part}/leak", split=part, sha=sha, look=look) for part in ("train", "test")]
    return [*plain, *leaking]


@pytest.mark.parametrize(
    ("images", "kind"),
    [
        (came(sha="same"), "1 pair byte for byte"),
        (came(look=0), "1 pair as near copies"),
    ],
)
def test_a_split_that_came_with_the_data_and_leaks_is_refused_or_counted(images, kind):
    shown = thumbnails([picture(1)])
    with pytest.raises(UserError) as refused:
        partition.partition(images, RULES, NOTHING, thumbnails=shown)
    said = str(refused.value)
    assert "leaks: 1 image of val or test belongs together with images of a split" in said
    assert f"({kind}): test/leak (test) and train/leak (train); take one of each out" in said
    allowed = partition.partition(images, RULES._replace(on_leak="allow"), NOTHING, thumbnails=shown)
    assert allowed.leak == 1
    assert allowed.splits == {image.key: image.split for image in images}
    anew = partition.partition(images, RULES._replace(keep_split=False), NOTHING, thumbnails=shown)
    assert anew.leak == 0
    assert anew.splits["train/leak"] == anew.splits["test/leak"]


def test_a_named_group_on_two_sides_is_a_leak():
    with pytest.raises(UserError, match=r"8 images .* \(\d+ pairs by data.group_by\)"):
        partition.partition(came(), RULES._replace(group_by=r"/([0-3])$"), NOTHING)


def test_what_was_carved_out_of_train_stays_out_and_the_data_s_own_sides_are_not_remembered():
    images = [entry(f"{n:02d}", split="train" if n < 30 else "val") for n in range(40)]
    first = partition.partition(images, RULES, NOTHING)
    carved = {key for key, side in first.splits.items() if side == "test"}
    assert len(carved) == 6
    more = [*images, *(entry(f"new{n}", split="train") for n in range(15))]
    second = partition.partition(more, RULES, first.earlier)
    assert shared(second.splits, first.splits) == first.splits
    own = [*more, *(entry(f"own{n}", split="test") for n in range(5))]
    third = partition.partition(own, RULES, second.earlier)
    assert {third.splits[key] for key in carved} == {"test"}
    moved = [e._replace(split="train") if e.key == "39" else e for e in images]
    assert partition.partition(moved, RULES, first.earlier).splits["39"] == "train"


def test_classes_are_balanced_over_groups():
    images = [
        entry(f"{group:02d}-{n}", classes={group % 4 // 3})._replace(columns={"of": str(group)})
        for group in range(60)
        for n in range(1 + group % 3)
    ]
    rules = RULES._replace(group_by="column:of")
    made = partition.partition(images, rules, NOTHING)
    rare = Counter(made.splits[image.key] for image in images if 1 in image.classes)
    every = Counter(made.splits.values())
    for split, share in WEIGHTS.items():
        assert every[split] / len(images) == pytest.approx(share, abs=0.03)
        assert rare[split] / rare.total() == pytest.approx(share, abs=0.06)


@given(
    st.dictionaries(st.text("0123456789abcdef", min_size=16, max_size=16), st.sampled_from(["train", "test"]))
)
def test_a_division_is_read_as_it_was_written(sides):
    made = SplitHistory(terms_of(RULES._asdict()), None, sides)
    assert history.parse(history.render(made)) == made
    assert parse_all(render_all({"a": made, "b": NOTHING})) == {"a": made, "b": NOTHING}
    assert parse_all(render_all({})) == {}


@pytest.mark.parametrize("text", ["[]", "{}", "x", '{"terms": {}, "folds": null, "sides": {"test": 1}}'])
def test_what_is_no_division_is_refused(text):
    with pytest.raises(ValueError, match=r"no division of images|Expecting value"):
        history.parse(text)


def test_other_terms_start_afresh_and_say_so_and_the_old_ones_go_on():
    made = partition.partition(entries(20), RULES, NOTHING).earlier
    known = {name_of(made.terms): made}
    assert carry_on(known, RULES._asdict()) == (made, "")
    for change in (
        {"seed": 1},
        {"keep_split": False},
        {"group_by": "folder"},
        {"split": {**WEIGHTS, "val": 0.2}},
    ):
        start, note = carry_on(known, RULES._asdict() | change)
        assert start == NOTHING
        assert "images are divided afresh" in note
    assert carry_on({}, RULES._asdict()) == (NOTHING, "")
    whole = {**WEIGHTS, "train": 2}
    assert name_of({**made.terms, "split": whole}) == name_of(
        {**made.terms, "split": {**whole, "train": 2.0}}
    )
