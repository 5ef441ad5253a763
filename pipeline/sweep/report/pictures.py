"""Turn the pictures of a study into parts of the page (plotly) and PNG files (matplotlib)."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from pipeline.sweep.study.pictures.draw_pictures import StudyPicture  # imports Optuna, which is slow

GRAPH_HEIGHT: Final = 430
"""Pixels of a graph on the page."""


class PageGraph(NamedTuple):
    """A picture as a part of the page.

    Attributes:
        name: The id of its section.
        title: For people.
        json: What plotly.js draws: data and layout; without the characters that end a script.
    """

    name: str
    title: str
    json: str


def render_graph(picture: StudyPicture) -> PageGraph:
    """Return a picture as the page draws it."""
    picture.page.update_layout(
        title=None,
        height=GRAPH_HEIGHT,
        template="plotly_white",
        margin={"l": 60, "r": 20, "t": 40, "b": 50},
        font={"family": "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif", "size": 12},
    )
    text = str(picture.page.to_json()).replace("<", "\\u003c").replace(">", "\\u003e")
    return PageGraph(picture.name, picture.title, text)


def render_png(picture: StudyPicture) -> bytes:
    """Return a picture as a PNG file, and close its figure; the same figure gives the same bytes."""
    import matplotlib.pyplot as plt

    buffer = BytesIO()
    picture.image.savefig(buffer, dpi=110, bbox_inches="tight", metadata={"Software": None})
    plt.close(picture.image)
    return buffer.getvalue()


def read_plotly_script() -> str:
    """Return plotly.js, which the page holds once."""
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())
