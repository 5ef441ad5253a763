"""The fuzzer: its seeds are valid, it detects faulty readers, and a few corrupted inputs pass."""

from random import Random

import pytest

from pipeline.core.errors import UserError
from pipeline.source.types import Source
from tests.fuzz import checks, mutation, targets
from tests.fuzz.mutation import SEPARATOR

FEW = 12


@pytest.mark.parametrize("name", targets.TARGETS)
def test_seeds_are_read_and_corrupted_ones_are_read_or_refused(name, tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    target, rng = targets.TARGETS[name], Random(name)
    seeds = target.seeds()
    assert all(target.run(tmp_path, parts) for parts in seeds)
    for number in range(FEW):
        data = SEPARATOR.join(seeds[number % len(seeds)])
        corrupted = mutation.corrupt_input(
            data, rng, lambda part: mutation.flip_bytes(part, rng), longest=20_000
        )
        target.run(tmp_path, tuple(mutation.split_parts(corrupted)))


def test_reader_that_changes_its_source_or_loses_an_image_is_detected(tmp_path, monkeypatch):
    target = targets.TARGETS["createml"]
    [parts] = target.seeds()
    honest = targets.read_source

    def read_and_write(form, folder):
        (folder / "x.jpg").write_bytes(b"")
        return honest(form, folder)

    def read_and_lose(form, folder):
        source: Source = honest(form, folder)
        return source._replace(images=source.images[:1] * 2)

    for reader in (read_and_write, read_and_lose):
        monkeypatch.setattr(targets, "read_source", reader)
        with pytest.raises(AssertionError):
            target.run(tmp_path / reader.__name__, parts)


def test_refusal_without_a_message_is_detected():
    with pytest.raises(AssertionError):
        checks.check_refusal(UserError(""))
