"""docs/how-to/new-format.md: it shows the real reader, and its steps add a format."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.source.formats.createml import reader
from tests.sources import write_picture

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/how-to/new-format.md").read_text()
FOLDER = "pipeline/source/formats/createml"
TABLE = "pipeline/core/annotation_formats.py"

REPORT = """
import json, sys
from pathlib import Path
from pipeline.config.groups.data import DataConfig
from pipeline.core.errors import UserError
from pipeline.source.recognize_format import read_source
from pipeline.storage.code_digests import compute_code_digests
try:
    source = read_source("auto", Path(sys.argv[1]))
    boxes = [source.names, [image.raw.boxes.tolist() for image in source.images]]
except UserError as error:
    boxes = str(error)
formats = DataConfig.model_json_schema()["properties"]["format"]["enum"]
print(json.dumps({"boxes": boxes, "formats": formats, "code": compute_code_digests()}))
"""


def extract_code_blocks() -> list[str]:
    """Return the code of the page: `__init__.py`, `reader.py` and the line of the table."""
    return re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def run_report(project, dataset):
    """Return, from a new process, what a project reads, the formats of its schema, and its code digests."""
    command = [sys.executable, "-c", REPORT, str(dataset)]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.fixture
def example(tmp_path):
    [text] = re.findall(r"^    (\[\{\"image\".*?\}\])\n\n", PAGE, re.DOTALL | re.MULTILINE)
    write_picture(tmp_path / "dataset/a.jpg")
    (tmp_path / "dataset/_annotations.createml.json").write_text(json.dumps(json.loads(text)))
    return tmp_path / "dataset"


@pytest.fixture
def project(tmp_path):
    """Copy the code, without the format of the page."""
    project = tmp_path / "project"
    shutil.copytree(ROOT / "pipeline", project / "pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.rmtree(project / FOLDER)
    table = (project / TABLE).read_text()
    (project / TABLE).write_text(table.replace(extract_code_blocks()[2], ""))
    return project


def test_page_shows_the_real_code():
    init, module, line = extract_code_blocks()
    assert init == (ROOT / FOLDER / "__init__.py").read_text()
    assert module == Path(reader.__file__).read_text(), "docs/how-to/new-format.md shows an older version"
    assert (ROOT / TABLE).read_text().count(line) == 1


def test_steps_of_the_page_add_a_format(project, example):
    init, module, line = extract_code_blocks()
    before = run_report(project, example)
    assert "no annotations recognized" in before["boxes"]
    assert "createml" not in before["formats"]

    (project / FOLDER).mkdir()
    (project / FOLDER / "__init__.py").write_text(init)
    (project / FOLDER / "reader.py").write_text(module)
    table = (project / TABLE).read_text()
    (project / TABLE).write_text(table.replace('    "dota",\n', f'{line}    "dota",\n'))

    after = run_report(project, example)
    assert after["boxes"] == [["cat"], [[[30, 25, 50, 35]]]]
    assert "createml" in after["formats"]
    changed = {stage for stage, digest in after["code"].items() if digest != before["code"][stage]}
    assert changed == {"prepare"}
