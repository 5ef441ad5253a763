"""The number of epochs by the number of images: fewer for more, within bounds, in steps of the optimizer."""

from __future__ import annotations

import math

import pytest

from pipeline.finetune.automatic.epoch_count import MAX_EPOCHS, MIN_EPOCHS, choose_epochs, compute_used_share


@pytest.mark.parametrize(
    ("images", "settings", "expected"),
    [
        (510, {}, 30),  # bccd with one copy of each image: the default of today
        (255, {}, 42),
        (2000, {}, MIN_EPOCHS),
        (10, {}, 170),
        (100_000, {}, MIN_EPOCHS),
        (510, {"batch": 32, "nbs": 32}, 42),  # half as many steps in an epoch
        (510, {"batch": 4}, 30),  # four batches make a step
        (510, {"batch": 64}, 60),
        (510, {"batch": -1}, 30),
        (510, {"batch": 0.7}, 30),
        (510, {"from_scratch": True}, 90),
        (10, {"from_scratch": True}, MAX_EPOCHS),
        (1, {}, 170),
        (255, {"share": 0.5}, 60),
        (51, {"share": 0.1}, 240),  # four steps in an epoch, of which the last is of three images
        (20, {"share": 0.5}, 147),
        (5, {"share": 0.125}, 294),
        (10_000, {"share": 0.1}, 10 * MIN_EPOCHS),
        (16, {"share": 0.01}, 3000),  # a share has the steps of all images, whatever the bounds
    ],
)
def test_epochs(images, settings, expected):
    assert choose_epochs(images, **{"batch": 16, "nbs": 16, **settings}).epochs == expected


def test_more_images_train_for_fewer_epochs_and_more_steps():
    counts = [16 * steps for steps in range(1, 280)]
    epochs = [choose_epochs(count, batch=16, nbs=16).epochs for count in counts]
    assert epochs == sorted(epochs, reverse=True)
    assert all(found * steps >= 170 for steps, found in enumerate(epochs, 1))


def test_the_reason_counts_the_steps_and_names_a_bound():
    assert choose_epochs(510, batch=16, nbs=16).reason == "about 960 optimizer steps on 510 images"
    assert choose_epochs(100_000, batch=16, nbs=16).reason.endswith(", the fewest")
    assert choose_epochs(8, batch=16, nbs=16, from_scratch=True).reason.endswith(", the most")


@pytest.mark.parametrize("multiple", [1, 2])
@pytest.mark.parametrize("pseudo", [0, 100, 300])
def test_a_share_with_pseudo_labels_has_the_steps_of_all_images(pseudo, multiple):
    """Of 400 labelled images all or a quarter, pseudo-labelled ones beside them, and copies of all."""
    share = compute_used_share(100 + pseudo, fraction=0.25, pseudo=pseudo)
    some = choose_epochs(multiple * (100 + pseudo), batch=16, nbs=16, share=share).epochs
    whole = choose_epochs(multiple * (400 + pseudo), batch=16, nbs=16).epochs
    own, all_steps = (math.ceil(multiple * (count + pseudo) / 16) for count in (100, 400))
    assert some * own == pytest.approx(whole * all_steps, rel=0.03)
