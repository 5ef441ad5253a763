"""Options of a prediction: the same limits for `predict` and `serve`."""

import pytest

from pipeline.commands.command_line.parser import build_parser
from pipeline.commands.models.prediction_settings import check_prediction_settings
from pipeline.core.errors import UserError

COMMANDS = (["serve"], ["predict", "images"])


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("options", [[], ["--tile", "0"], ["--tile", "640", "--overlap", "0.8"]])
def test_possible_options_are_taken(command, options):
    check_prediction_settings(build_parser().parse_args([*command, *options]))


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    "options", [["--tile", "31"], ["--tile", "-1"], ["--overlap", "0"], ["--overlap", "0.85"]]
)
def test_impossible_options_are_named(command, options):
    with pytest.raises(UserError, match=options[0]):
        check_prediction_settings(build_parser().parse_args([*command, *options]))
