"""The pictures of a sweep, drawn from its study: for the page by plotly, as PNG by matplotlib."""

from __future__ import annotations

from io import BytesIO
from typing import Any, Final, NamedTuple

GRAPH_HEIGHT: Final = 430
"""Pixels of a graph on the page."""


class SweepPicture(NamedTuple):
    """One picture of a study.

    Attributes:
        name: Of its file, such as `history`.
        title: For people.
        graph: A figure of plotly.
        figure: A figure of matplotlib.
    """

    name: str
    title: str
    graph: Any
    figure: Any


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


def render_graph(picture: SweepPicture) -> PageGraph:
    """Return a picture as the page draws it."""
    picture.graph.update_layout(
        title=None,
        height=GRAPH_HEIGHT,
        template="plotly_white",
        margin={"l": 60, "r": 20, "t": 40, "b": 50},
        font={"family": "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif", "size": 12},
    )
    text = str(picture.graph.to_json()).replace("<", "\\u003c").replace(">", "\\u003e")
    return PageGraph(picture.name, picture.title, text)


def render_png(picture: SweepPicture) -> bytes:
    """Return a picture as a PNG file; the same figure gives the same bytes."""
    buffer = BytesIO()
    picture.figure.savefig(buffer, dpi=110, bbox_inches="tight", metadata={"Software": None})
    return buffer.getvalue()


def read_plotly_script() -> str:
    """Return plotly.js, which the page holds once."""
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())
