import gc

import pytest

from pipeline.runtime.gc_pause import without_collecting


def test_the_collector_rests_for_the_imports_alone():
    with without_collecting():
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(ImportError), without_collecting():
        raise ImportError
    assert gc.isenabled()


def test_who_switched_the_collector_off_finds_it_off():
    gc.disable()
    try:
        with without_collecting():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_what_is_not_loaded_by_the_block_is_still_collected():
    frozen = gc.get_freeze_count()
    with without_collecting():
        pass
    assert gc.get_freeze_count() <= frozen
