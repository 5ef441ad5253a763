"""Commands that share iterations with a team. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pipeline.commands.command_line.arguments import Argument, Command

_REMOTE: Final[Argument] = (
    "--remote",
    {"metavar": "NAME", "help": "a DVC remote; the default one without it"},
)
_GIT_REMOTE: Final[Argument] = (
    "--git-remote",
    {"default": "origin", "metavar": "NAME", "help": "the git remote of the experiments; origin"},
)
_NO_EXPERIMENTS: Final[Argument] = (
    "--no-experiments",
    {"action": "store_true", "help": "only what the workspace needs"},
)
_FORCE: Final[Argument] = (
    "--force",
    {"action": "store_true", "help": "replace experiments of the same name with other results"},
)
_VERIFY: Final[Argument] = (
    "--verify",
    {"action": "store_true", "help": "verify all that is needed in DVC's cache, not only what is copied"},
)

TEAM_COMMANDS: Final[Mapping[str, Command]] = {
    "push": Command(
        "push data, weights and experiments to the team's remotes",
        "Data and weights go to a DVC remote (a folder, SSH, S3, ...), experiments to a git remote. What is\n"
        "pushed is verified first. The same command goes on after an interruption. The branch is pushed\n"
        "with --branch alone; what is left to do is said at the end.",
        "dvc remote add --default store ssh://USER@HOST/srv/store\nfinetrack push\nfinetrack push --branch",
        (
            _REMOTE,
            _GIT_REMOTE,
            _NO_EXPERIMENTS,
            ("--branch", {"action": "store_true", "help": "push the branch that is checked out, too"}),
            _FORCE,
            _VERIFY,
        ),
    ),
    "pull": Command(
        "pull data, weights and experiments from the team's remotes",
        "Fetches experiments, downloads and verifies what they and dvc.lock name, and writes the data and\n"
        "weights of dvc.lock into the workspace. The same command goes on after an interruption. MLflow's\n"
        "runs are not part of it: a tracking server shares them.",
        "git clone URL project && cd project && make pull\nfinetrack pull --no-experiments",
        (_REMOTE, _GIT_REMOTE, _NO_EXPERIMENTS, _FORCE, _VERIFY),
    ),
    "ui": Command(
        "start the MLflow UI: every run with its parameters, curves, weights",
        "For this machine alone, unless --host says otherwise: the pages have no users and no encryption,\n"
        "so that everybody who reaches the port can change and delete runs. Where the runs are on a\n"
        "tracking server, it says the server's address instead.",
        "finetrack ui\nfinetrack ui --port 5005\nfinetrack ui --host 0.0.0.0",
        (
            (
                "--host",
                {
                    "default": "127.0.0.1",
                    "metavar": "ADDRESS",
                    "help": "of this machine; 0.0.0.0: all of them",
                },
            ),
            ("--port", {"default": 5001, "type": int, "metavar": "N", "help": "5001"}),
        ),
    ),
}
