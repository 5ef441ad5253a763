"""What stops a command with one sentence instead of a traceback."""


class Refused(RuntimeError):
    """Stop the command with one sentence for the user: what, where, what to do."""
