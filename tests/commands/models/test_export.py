"""`finetrack export`: the command itself; what it exports is tested in tests/export."""

from argparse import Namespace

import pytest

from pipeline.__main__ import main
from pipeline.commands.models import export


def test_command_runs_again_in_the_other_environment_with_the_same_arguments(tmp_path, monkeypatch):
    python, ran = tmp_path / ".venv-export/bin/python", []
    monkeypatch.setattr("pipeline.export.packages.find_python", lambda _variants: python)

    def replace_process(_python, words):
        ran.append(words)
        raise SystemExit

    monkeypatch.setattr(export.os, "execv", replace_process)
    chosen = Namespace(
        run="old/best.pt",
        format="onnx,openvino",
        precision="int8",
        nms="outside",
        output="out",
        dynamic=True,
        device=None,
        unmeasured=False,
        start=tmp_path / "below",
    )
    with pytest.raises(SystemExit):
        list(export.run_command(chosen))
    (words,) = ran
    assert words[:5] == [str(python), "-m", "pipeline", "export", str(tmp_path / "below/old/best.pt")]
    assert words[5:] == [
        *("--format", "onnx,openvino", "--precision", "int8", "--nms", "outside"),
        *("--output", str(tmp_path / "below/out"), "--dynamic"),
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--format", "word"], "is not a format"),
        (["--format", "torchscript", "--precision", "int8"], "has no --precision int8"),
    ],
)
def test_wrong_arguments_are_refused_before_any_work(arguments, said, capsys):
    assert main(["export", "no_run", *arguments]) == 1
    assert said in capsys.readouterr().err
