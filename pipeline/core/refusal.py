"""What stops a command with one sentence instead of a traceback."""


class Refused(RuntimeError):
    """Stop the command with one sentence for the user: what, where, what to do.

    Args:
        sentence: Stays on one line whatever names of files it quotes.
    """

    def __init__(self, sentence: str) -> None:
        super().__init__(" ".join(sentence.splitlines()))
