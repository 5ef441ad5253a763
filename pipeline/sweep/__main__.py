"""Run a sweep: a Hydra multirun of DVC experiments (`python -m pipeline.sweep -m KEY=A,B ...`)."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from pipeline.core.errors import Terminated, UserError, describe_missing_module, raise_terminated
from pipeline.core.machine_errors import describe_machine_error
from pipeline.runtime.environment import set_environment
from pipeline.runtime.output_encoding import escape_unencodable_output
from pipeline.runtime.versions import describe_version

CONF: Final = Path(__file__).parents[2] / "conf"
SWEEPER: Final = "hydra/sweeper=finetrack"


def main(arguments: list[str]) -> int:
    """Run a sweep.

    Returns:
        0 done, 1 an error that the user can correct or failed jobs, 130 interrupted, 143 terminated.
    """
    escape_unencodable_output()
    if "--version" in arguments:
        print(describe_version())
        return 0
    set_environment()
    for number in (signal.SIGTERM, signal.SIGHUP):  # SIGHUP: a closed terminal, unless under nohup
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, raise_terminated)
    return _run_reporting_errors(arguments)


def _run_reporting_errors(arguments: Sequence[str]) -> int:
    try:
        _run(arguments)
    except UserError as error:
        print(f"sweep: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        print(f"sweep: {describe_missing_module(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as stop:
        print("sweep: stopped; the same command again runs what is missing", file=sys.stderr)
        return 143 if isinstance(stop, Terminated) else 130
    except Exception as error:
        sentence = describe_machine_error(error)
        if sentence is None:
            raise
        print(f"sweep: {sentence}", file=sys.stderr)
        return 1
    return 0


def _run(arguments: Sequence[str]) -> None:
    """Hand the command to Hydra, which calls the sweeper of this project."""
    if {"-h", "--help"} & set(arguments) or not arguments:
        from pipeline.sweep.command_help import render_help

        print(render_help(CONF), end="")
        return
    from pipeline.compose.hydra_options import separate_hydra_options
    from pipeline.config.override_text import expand_home_in_override
    from pipeline.sweep.space.parse_axes import check_command_words
    from pipeline.sweep.space.sweep_words import translate_sweep_words

    words = separate_hydra_options([word for word in arguments if word not in {"-m", "--multirun"}])
    overrides = translate_sweep_words([expand_home_in_override(word) for word in words.overrides])
    mode = [] if words.prints_only else ["--multirun"]
    if mode:
        _refuse_options(words.options)
        check_command_words(overrides)
    sys.argv = [sys.argv[0], SWEEPER, *overrides, *mode, *words.options]  # Hydra takes one row of overrides
    _run_hydra()


def _refuse_options(options: Sequence[str]) -> None:
    """Refuse options of Hydra that a sweep does not have, such as another folder of the configuration."""
    if options:
        raise UserError(
            f"the command: {options[0]} is no option of a sweep, unless with --cfg job: it has --help, "
            "--version, --cfg job and --hydra-help"
        )


def _run_hydra() -> None:
    """Let Hydra compose the settings and start the sweep. Its errors become sentences."""
    import hydra

    from pipeline.compose.hydra_code import require_own_code
    from pipeline.compose.stage import config_errors_as_sentences

    os.environ["HYDRA_FULL_ERROR"] = "1"
    with config_errors_as_sentences("the command"):
        require_own_code(sys.argv[1:])
        hydra.main(config_path=str(CONF), config_name="config", version_base=None)(_refuse_single_run)()


def _refuse_single_run(values: Any) -> None:
    """Stand for the function that Hydra would call for each job, if DVC did not run them."""
    del values
    raise UserError("a sweep runs jobs by DVC alone")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
