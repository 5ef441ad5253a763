"""The fuzzer itself: it starts from what is read, sees what must not be, and a few spoilt inputs pass."""

from random import Random

import pytest

from pipeline.core.errors import UserError
from pipeline.source.types import Source
from tests.fuzz import checks, mutation, targets
from tests.fuzz.mutation import SEPARATOR

FEW = 12


@pytest.mark.parametrize("name", targets.TARGETS)
def test_seeds_are_read_and_spoilt_ones_read_or_refused(name, tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    target, rng = targets.TARGETS[name], Random(name)
    seeds = target.seeds()
    assert all(target.run(tmp_path, parts) for parts in seeds)
    for number in range(FEW):
        data = SEPARATOR.join(seeds[number % len(seeds)])
        spoilt = mutation.spoilt(data, rng, lambda part: mutation.flipped(part, rng), longest=20_000)
        target.run(tmp_path, tuple(mutation.parted(spoilt)))


def test_a_reader_that_writes_to_its_source_or_loses_an_image_is_seen(tmp_path, monkeypatch):
    target = targets.TARGETS["createml"]
    [parts] = target.seeds()
    honest = targets.registry.read

    def writing(form, folder):
        (folder / "x.jpg").write_bytes(b"")
        return honest(form, folder)

    def losing(form, folder):
        source: Source = honest(form, folder)
        return source._replace(images=source.images[:1] * 2)

    for reader in (writing, losing):
        monkeypatch.setattr(targets.registry, "read", reader)
        with pytest.raises(AssertionError):
            target.run(tmp_path / reader.__name__, parts)


def test_a_refusal_without_a_word_is_seen():
    with pytest.raises(AssertionError):
        checks.sentence(UserError(""))
