"""Features, threads and limits of the processor."""

import resource

import pytest

from pipeline.doctor.machine import processor
from pipeline.doctor.machine.processor import check_processor, read_features


@pytest.mark.parametrize(
    ("text", "features"),
    [
        ("processor : 0\nflags\t\t: fpu avx2 avx512f amx_bf16\n", ["AVX2", "AVX-512", "AMX bf16"]),
        ("processor : 0\nFeatures\t: fp asimd sve bf16\n", ["NEON", "SVE", "bf16"]),
        ("flags : fpu sse2\n", []),
        ("", []),
    ],
)
def test_features_are_read_as_the_kernel_writes_them(tmp_path, text, features):
    (tmp_path / "cpuinfo").write_text(text)
    assert [*read_features(tmp_path / "cpuinfo").values()] == features


def test_a_processor_without_avx2_is_slow(project, tmp_path, monkeypatch):
    (tmp_path / "cpuinfo").write_text("flags : fpu sse2\n")
    monkeypatch.setattr(processor, "_PROCESSOR_FILE", tmp_path / "cpuinfo")
    monkeypatch.setattr(processor.platform, "machine", lambda: "x86_64")
    assert [finding.state for finding in check_processor(project)] == ["warning"]


def test_threads_that_a_variable_forbids_are_named(project, monkeypatch):
    monkeypatch.setattr(processor, "count_available_cores", lambda: 8)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    [found] = check_processor(project)
    assert found.state == "warning"
    assert "OMP_NUM_THREADS=1" in found.seen


def test_few_open_files_are_a_warning(project):
    kept = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, kept[1]))
    try:
        [found] = check_processor(project)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, kept)
    assert (found.state, "200 files" in found.seen) == ("warning", True)
