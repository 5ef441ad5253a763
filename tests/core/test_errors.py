"""User errors are one line; signals raise an interrupt."""

import signal

import pytest

from pipeline.core.errors import Terminated, UserError, raise_terminated


@pytest.mark.parametrize(
    ("sentence", "message"),
    [("repair it", "repair it"), ("a\nb.jpg is no image\n", "a b.jpg is no image"), ("a\u2028b\r\n", "a b")],
)
def test_user_error_is_one_line(sentence, message):
    assert str(UserError(sentence)) == message


def test_sigterm_is_handled_as_keyboard_interrupt():
    earlier = signal.signal(signal.SIGTERM, raise_terminated)
    try:
        with pytest.raises(KeyboardInterrupt) as caught:
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, earlier)
    assert isinstance(caught.value, Terminated)
