"""What a comparison of models found."""

from __future__ import annotations

from typing import Literal, NamedTuple

Verdict = Literal["better", "worse", "no difference shown"]


class PairedDifference(NamedTuple):
    """One figure of two models on the same images.

    Attributes:
        name: Of the figure, such as mAP50-95; of a class or slice: its name.
        first: The first model's value.
        second: The second model's value.
        low: Lower bound of the 95% interval of second - first.
        high: Its upper bound.
        p_value: Two-sided; adjusted by Holm where several are tested together.
        images: On how many images it rests.
        objects: On how many objects; of classify: images.
    """

    name: str
    first: float
    second: float
    low: float
    high: float
    p_value: float
    images: int
    objects: int

    @property
    def difference(self) -> float:
        """The second model's value less the first one's."""
        return self.second - self.first


class ModelComparison(NamedTuple):
    """Two models on the same test images.

    Attributes:
        first: The label of the first model, which the second one is compared with.
        second: The label of the second model.
        main: The difference of the metric that ranks the task.
        figures: Of all other figures.
        classes: Of the main metric, by class, for classes with test objects.
        slices: Of the main metric, by slice, named `COLUMN=VALUE`.
        verdict: What the main metric's interval shows.
        sentence: The verdict for people.
        needed_images: About how many test images would show the measured difference; None if it is shown,
            or is 0.
    """

    first: str
    second: str
    main: PairedDifference
    figures: tuple[PairedDifference, ...]
    classes: tuple[PairedDifference, ...]
    slices: tuple[PairedDifference, ...]
    verdict: Verdict
    sentence: str
    needed_images: int | None = None
