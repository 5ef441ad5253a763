"""The garbage collector is paused during imports only."""

import gc

import pytest

from pipeline.runtime.gc_pause import pause_gc


def test_the_collector_is_disabled_inside_the_block_only():
    with pause_gc():
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(ImportError), pause_gc():
        raise ImportError
    assert gc.isenabled()


def test_a_collector_that_was_disabled_before_stays_disabled():
    gc.disable()
    try:
        with pause_gc():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_a_block_without_imports_freezes_no_objects():
    frozen = gc.get_freeze_count()
    with pause_gc():
        pass
    assert gc.get_freeze_count() <= frozen
