"""Draw the pictures of a study, each as a page (plotly) and as an image (matplotlib)."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import matplotlib as mpl
import optuna
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from optuna import visualization
from optuna.importance import FanovaImportanceEvaluator
from optuna.visualization import matplotlib as images

from pipeline.sweep.space.search_space import SearchSpace
from pipeline.sweep.study.pictures.draw_curves import draw_curves_image, draw_curves_page
from pipeline.sweep.study.pictures.picture_study import copy_points, list_job_curves, select_drawn_points
from pipeline.sweep.study.points import StudyPoint
from pipeline.sweep.study.sweep_study import SweepStudy

FEWEST_POINTS_FOR_IMPORTANCE: Final = 4
_SEED: Final = 0


class StudyPicture(NamedTuple):
    """A picture of a study.

    Attributes:
        name: For files: history, parallel_coordinates, slice, importance, learning_curves or pareto_front.
        title: For people.
        page: A plotly figure.
        image: A matplotlib figure; the caller closes it.
    """

    name: str
    title: str
    page: Any
    image: Figure


class StudyPictures(NamedTuple):
    """All pictures of a study that can be drawn.

    Attributes:
        pictures: The pictures.
        problems: A sentence for each that failed; a picture that has nothing to show is left out without one.
    """

    pictures: list[StudyPicture]
    problems: list[str]


class _Drawing(NamedTuple):
    name: str
    title: str
    draw_page: Callable[[], Any]
    draw_image: Callable[[], Any]


def draw_study_pictures(study: SweepStudy) -> StudyPictures:
    """Draw all pictures that the points of a study allow.

    The pictures show the points with the most common kind of score, under the short names of their axes.
    """
    return draw_pictures(study.points, study.space, study.objectives, repetitions=study.repetitions.total)


def draw_pictures(
    points: Sequence[StudyPoint], space: SearchSpace, objectives: Sequence[str], *, repetitions: int
) -> StudyPictures:
    """Draw all pictures that points allow; see `draw_study_pictures`."""
    found = StudyPictures([], [])
    with _drawing():
        for drawing in _list_drawings(select_drawn_points(points), space, objectives, repetitions):
            try:
                found.pictures.append(_draw(drawing))
            except Exception as error:  # a sweep is not lost for a picture
                found.problems.append(f"the picture {drawing.name} cannot be drawn: {error}")
    return found


def _draw(drawing: _Drawing) -> StudyPicture:
    page = drawing.draw_page()
    page.update_layout(title=drawing.title)
    if page.layout.xaxis.title.text == "Trial":
        page.update_layout(xaxis_title="point")
    image = _finish_image(drawing.draw_image(), drawing.title)
    return StudyPicture(drawing.name, drawing.title, page, image)


def _finish_image(drawn: Any, title: str) -> Figure:
    """Give a picture of Optuna's its title.

    Args:
        drawn: Its axes, or an array of them.
        title: The title.
    """
    axes = drawn if hasattr(drawn, "figure") else drawn.flat[0]
    image: Figure = axes.figure
    for place in ("left", "center"):
        axes.set_title("", loc=place)
    image.suptitle(title, y=1.03)  # above a legend
    if axes.get_xlabel() == "Trial":
        axes.set_xlabel("point")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    plt.close(image)  # pyplot forgets it; it can be saved all the same
    return image


def _list_drawings(
    points: Sequence[StudyPoint], space: SearchSpace, objectives: Sequence[str], repetitions: int
) -> Iterator[_Drawing]:
    names = [name or _find_metric(points) for name in objectives]
    study = copy_points(points, space, objectives)
    complete = [point for point in points if point.status == "complete"]
    if complete:
        for place, name in enumerate(names):
            yield from _list_objective_drawings(study, place, name, several=len(names) > 1)
    if _can_rate_axes(complete):
        yield _draw_importance(study, names)
    curves = list_job_curves(points, space, repetitions)
    if curves:
        metric = _find_metric(points)
        yield _Drawing(
            "learning_curves",
            f"Learning curves: {metric} on val",
            lambda: draw_curves_page(curves, metric),
            lambda: draw_curves_image(curves, metric),
        )
    if complete and len(names) in {2, 3}:
        yield _Drawing(
            "pareto_front",
            "Pareto front",
            lambda: visualization.plot_pareto_front(study, target_names=names),
            lambda: images.plot_pareto_front(study, target_names=names),
        )


def _list_objective_drawings(
    study: optuna.Study, place: int, name: str, *, several: bool
) -> Iterator[_Drawing]:
    options: dict[str, Any] = {"target_name": name}
    if several:
        options["target"] = lambda trial: trial.values[place]
    kinds = (
        ("history", "History", "plot_optimization_history"),
        ("parallel_coordinates", "Parallel coordinates", "plot_parallel_coordinate"),
        ("slice", "Slices", "plot_slice"),
    )
    for file, title, function in kinds:
        ending = f"_{place + 1}" if several else ""
        page, image = getattr(visualization, function), getattr(images, function)
        yield _Drawing(
            f"{file}{ending}",
            f"{title}: {name}",
            lambda page=page: page(study, **options),  # type: ignore[misc]
            lambda image=image: image(study, **options),  # type: ignore[misc]
        )


def _draw_importance(study: optuna.Study, names: Sequence[str]) -> _Drawing:
    evaluator = FanovaImportanceEvaluator(seed=_SEED)
    options: dict[str, Any] = {"evaluator": evaluator}
    if len(names) == 1:
        options["target_name"] = names[0]
    else:
        study.set_metric_names(list(names))
    return _Drawing(
        "importance",
        f"Importance of the parameters for {' and '.join(names)} (fANOVA)",
        lambda: visualization.plot_param_importances(study, **options),
        lambda: images.plot_param_importances(study, **options),
    )


def _can_rate_axes(complete: Sequence[StudyPoint]) -> bool:
    """Return whether there are enough points, and their values differ, in each objective."""
    if len(complete) < FEWEST_POINTS_FOR_IMPORTANCE:
        return False
    return all(len(set(values)) > 1 for values in zip(*(point.objectives for point in complete), strict=True))


def _find_metric(points: Sequence[StudyPoint]) -> str:
    names = (result.metric for point in points for result in point.results)
    return next((name for name in names if name), "val metric")


@contextmanager
def _drawing() -> Iterator[None]:
    """Draw without a screen, keep matplotlib's settings, and keep Optuna's remarks quiet."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings(), mpl.rc_context():
            warnings.simplefilter("ignore")
            plt.switch_backend("agg")
            yield
    finally:
        optuna.logging.set_verbosity(level)
