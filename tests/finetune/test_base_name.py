"""The name of base weights in records: never that of another file."""

import pytest

from pipeline.finetune.run_name import choose_base_name


@pytest.mark.fault(3, "weights given by path are recorded as the foundation")
@pytest.mark.parametrize(
    ("name", "weights", "expected"),
    [
        ("foundation", "models/foundation.pt", "foundation"),
        ("foundation", "/data/other.pt", "other"),
        ("mine", "/data/other.pt", "mine"),
        ("damaged", "/data/other.pt", "damaged"),
    ],
)
def test_a_name_of_conf_stands_for_its_own_file_alone(tmp_path, name, weights, expected):
    (tmp_path / "foundation.yaml").write_text("name: foundation\nweights: models/foundation.pt\n")
    (tmp_path / "damaged.yaml").write_text("a: [b")
    assert choose_base_name(name, weights, tmp_path) == expected
