"""The page at /, in a real browser: an image is dropped, and its boxes are seen."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from tests.browser import needs_chromium, open_browser
from tests.builders import draw_objects
from tests.serve.servers import running_server

pytestmark = needs_chromium
SHOWN = "!document.querySelector('#result').hidden"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    with running_server(folder, "--imgsz=320", "--conf=0.25") as server, open_browser(folder) as browser:
        browser.url = server.url
        yield browser


@pytest.fixture
def image(tmp_path):
    pixels, boxes = draw_objects(np.array([0, 1, 2]), pixels=320, rng=np.random.default_rng(0))
    cv2.imwrite(str(tmp_path / "drawn.png"), pixels)
    return tmp_path / "drawn.png", boxes


def open_page(page):
    page.messages.clear()
    page.open(page.url)
    page.wait("document.querySelector('#limits').textContent")


def test_a_dropped_image_is_shown_with_its_boxes(page, image):
    path, [[left, top, right, bottom], *_] = image
    open_page(page)
    page.drop_file(path, x=300, y=150)
    page.wait(SHOWN)
    rows = page.run("document.querySelectorAll('#rows tr').length")
    assert rows == page.run("prediction.objects.length") >= 2
    x1, y1, x2, y2 = page.run("prediction.objects[0].box")
    assert max(abs(x1 - left), abs(y1 - top), abs(x2 - right), abs(y2 - bottom)) < 6
    scale = page.run("document.querySelector('#canvas').width") / 320
    at = [round(x1 * scale), round((y1 + y2) / 2 * scale)]  # on the left side of the first box
    red, green, blue, _ = page.run(f"[...context.getImageData({at[0]}, {at[1]}, 1, 1).data]")
    assert red > 100 > max(green, blue)  # the image itself is dark there
    assert page.messages == []


def test_the_threshold_hides_weaker_objects(page, image):
    open_page(page)
    page.choose_file("#file", image[0])
    page.wait(SHOWN)
    page.run("byId('conf').value = 0.6, byId('conf').dispatchEvent(new Event('input'))")
    shown = page.run("[...document.querySelectorAll('#rows td:last-child')].map((cell) => +cell.textContent)")
    assert shown
    assert min(shown) >= 0.6
    assert len(shown) < page.run("prediction.objects.length")


def test_what_is_no_image_is_refused_on_the_page(page, tmp_path):
    (tmp_path / "notes.txt").write_text("no image")
    open_page(page)
    page.drop_file(tmp_path / "notes.txt", x=300, y=150)
    page.wait("!document.querySelector('#error').hidden")
    assert "no image" in page.run("document.querySelector('#error').textContent")
    assert not page.run(SHOWN)


def test_the_policy_of_the_page_lets_nothing_else_run(page):
    open_page(page)
    page.run("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.ran = 1\">')")
    page.run("const added = document.createElement('script'); added.textContent = 'window.ran = 1'")
    page.run("document.body.append(added)")
    assert page.run("window.ran") is None
    assert page.run("fetch('https://example.org/').then(() => 'loaded', () => 'refused')") == "refused"
    assert page.messages


def test_class_names_with_markup_are_shown_as_text(page, image):
    open_page(page)
    page.choose_file("#file", image[0])
    page.wait(SHOWN)
    page.run("prediction.objects[0].name = '<b>disc</b>', listRows(), draw(-1)")
    assert page.run("document.querySelector('#rows td').textContent") == "<b>disc</b>"
