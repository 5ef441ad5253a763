"""docs/how-to/new-format.md shows a reader as it is, and it reads what the page says."""

import json
import re
from pathlib import Path

from pipeline.source.formats import createml
from pipeline.source.formats.registry import read
from tests.sources import picture

PAGE = (Path(__file__).parents[3] / "docs/how-to/new-format.md").read_text()


def test_the_page_shows_the_module_as_it_is():
    [code] = re.findall(r"```python\n(\"\"\".*?)```", PAGE, re.DOTALL)
    assert code == Path(createml.__file__).read_text(), "docs/how-to/new-format.md shows an older version"


def test_the_example_of_the_page_is_recognised_and_read(tmp_path):
    [example] = re.findall(r"^    (\[\{\"image\".*?\}\])\n\n", PAGE, re.DOTALL | re.MULTILINE)
    picture(tmp_path / "a.jpg")
    (tmp_path / "_annotations.createml.json").write_text(json.dumps(json.loads(example)))
    source = read("auto", tmp_path)
    assert (source.names, source.task) == (("cat",), "detect")
    assert source.images[0].raw.boxes.tolist() == [[30, 25, 50, 35]]
