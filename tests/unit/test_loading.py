import gc

import pytest

from pipeline.runtime import gc_pause


def test_the_collector_rests_for_the_imports_alone():
    with gc_pause.without_collecting():
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(ImportError), gc_pause.without_collecting():
        raise ImportError
    assert gc.isenabled()


def test_who_switched_the_collector_off_finds_it_off():
    gc.disable()
    try:
        with gc_pause.without_collecting():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_what_is_not_loaded_by_the_block_is_still_collected():
    frozen = gc.get_freeze_count()
    with gc_pause.without_collecting():
        pass
    assert gc.get_freeze_count() <= frozen
