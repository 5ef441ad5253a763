"""What stops a command with one sentence instead of a traceback."""

import sys


class UserError(RuntimeError):
    """Stop the command with one sentence for the user: what, where, what to do.

    Args:
        sentence: Stays on one line whatever names of files it quotes.
    """

    def __init__(self, sentence: str) -> None:
        super().__init__(" ".join(sentence.splitlines()))


def unready(error: ModuleNotFoundError) -> str:
    """Say in a sentence that this Python is not the one that the packages are installed for."""
    where = "run `source .venv/bin/activate` first (`make setup` creates it)"
    return f"{error.name} is not installed for {sys.executable}: {where}"
