"""Real exports of a model, measured beside its checkpoint."""

import json
from dataclasses import replace

import numpy as np
import onnxruntime
import pytest

from pipeline.core.errors import UserError
from pipeline.export import export_model
from pipeline.export.export_model import ExportSettings, export_variants
from pipeline.export.model_source import open_source
from pipeline.export.report import build_addition, format_head, format_result
from pipeline.export.variants import ExportVariant
from pipeline.iterations.iteration import Iteration
from pipeline.iterations.predict_split import PreparedData
from pipeline.iterations.weights_file import hash_path
from pipeline.yolo.exporting import compare_latency

PLAIN = ExportVariant("torchscript", "fp32", "outside")
FREE = ExportVariant("torchscript", "fp32", "free")
GRAPH = ExportVariant("onnx", "fp32", "graph")
ONNX = ExportVariant("onnx", "fp32", "outside")


@pytest.fixture(scope="module")
def source(project, manifest):
    iteration = Iteration("best.pt", "file", "best.pt", predicts_with={"imgsz": 64, "conf": 0.3})
    return open_source(iteration, project / "best.pt", PreparedData(manifest))


@pytest.fixture(scope="module")
def export(source, manifest, config):
    """Export to a folder of the project."""
    usual = source

    def run(variants, folder, source=usual, **settings):
        how, data = ExportSettings(source.weights.parent / folder, **settings), PreparedData(manifest)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(compare_latency, "ROUNDS", 1)
            patch.setattr(compare_latency, "TIMED_IMAGES", 2)
            return list(export_variants(source, variants, data, config=config, settings=how))

    return run


@pytest.fixture(scope="module")
def results(export):
    return export([PLAIN, FREE, ONNX], "out")


def test_exported_files_are_measured_and_kept_with_their_facts(project, results):
    kept = [result for result in results if result.variant != FREE]
    names = ["best-fp32.onnx", "best-fp32.torchscript"]
    assert sorted(result.file.name for result in kept) == names
    for each in kept:
        main = each.measurement.comparison.main
        assert main.first > 0.5
        assert abs(main.difference) < 0.01
        assert each.measurement.agreement.share > 0.9
        assert each.refusal is None
        assert each.measurement.latency.first > 0
        facts = json.loads((project / f"out/{each.file.name}.json").read_text())
        assert facts["accepted"] is True
        assert facts["sha256"] == hash_path(each.file)
        assert facts["metrics"]["agreement"] == each.measurement.agreement.share
        assert (facts["imgsz"], facts["threshold"]) == (64, 0.3)


def test_a_file_is_built_and_measured_as_its_checkpoint_was_evaluated(source, export, results):
    iteration = replace(source.iteration, predicts_with={**source.iteration.predicts_with, "max_det": 1})
    (found,) = export([GRAPH], "limited", source._replace(iteration=iteration))  # evaluate.max_det is 20
    assert found.facts["predicts_with"]["max_det"] == 1
    session = onnxruntime.InferenceSession(found.file)
    assert session.run(None, {"images": np.zeros((1, 3, 64, 64), np.float32)})[0].shape[1] == 1
    assert found.measurement.comparison.main.first < results[0].measurement.comparison.main.first


def test_a_file_of_any_image_size_is_kept_beside_that_of_one_size(project, export, results):
    (found,) = export([PLAIN._replace(dynamic=True)], "out")
    facts = json.loads((project / "out/best-fp32-dynamic.torchscript.json").read_text())
    assert (facts["dynamic"], results[0].facts["dynamic"]) == (True, False)
    assert hash_path(results[0].file) == results[0].facts["sha256"]
    logged = build_addition(found)
    assert set(logged.tags) == {"finetrack.export.torchscript-fp32-dynamic"}
    assert set(logged.tags).isdisjoint(build_addition(results[0]).tags)


@pytest.mark.fault(3, "an exported file that finds other boxes is handed out")
def test_worse_file_is_refused_and_not_written(project, results):
    refused = results[1]
    assert refused.measurement.comparison.main.difference < -0.01
    assert "below the checkpoint" in refused.refusal
    assert refused.file is None
    assert not list((project / "out").glob("*free*"))
    assert not list((project / ".finetrack/exports").iterdir())


def test_table_fits_a_terminal_and_says_why_a_file_is_refused(source, results):
    lines = [*format_head(source, results[0]), *(line for each in results for line in format_result(each))]
    assert max(len(line) for line in lines if not line.startswith("  ")) <= 100
    assert [line[:11] for line in lines if line.startswith("  ref")] == ["  refused: "]


def test_mlflow_gets_the_figures_of_all_and_the_files_that_are_kept(results):
    kept, refused, _ = map(build_addition, results)
    assert kept.metrics["export/torchscript-fp32/megabytes"] == results[0].megabytes
    assert [file.name for file in kept.files] == ["best-fp32.torchscript", "best-fp32.torchscript.json"]
    assert refused.files == ()
    assert json.loads(refused.tags["finetrack.export.torchscript-fp32-nms-free"])["accepted"] is False


def test_file_that_runs_elsewhere_is_kept_only_unmeasured(project, export, monkeypatch):
    known = export_model.FORMATS["torchscript"]._replace(machine="a toaster")
    monkeypatch.setattr(export_model, "FORMATS", {"torchscript": known})

    def write(_weights, folder, _request, **_checked):  # a file that nothing here can load
        (folder / "weights.torchscript").write_bytes(b"for a toaster")
        return folder / "weights.torchscript"

    monkeypatch.setattr(export_model, "export_weights", write)
    with pytest.raises(UserError, match="--unmeasured"):
        export([PLAIN], "elsewhere")
    assert not (project / "elsewhere").exists()
    (result,) = export([PLAIN], "elsewhere", unmeasured=True)
    assert result.measurement is None
    assert result.file.read_bytes() == b"for a toaster"
    assert "metrics" not in json.loads((project / "elsewhere/best-fp32.torchscript.json").read_text())


@pytest.mark.parametrize(
    ("name", "changes", "named"),
    [
        ("best.onnx", {}, "exported file"),
        ("best.pt", {"names": ("a", "b")}, "classes"),
        ("best.pt", {"task": "segment"}, "segment"),
    ],
)
def test_weights_that_do_not_fit_are_refused(project, manifest, name, changes, named):
    data = PreparedData(replace(manifest, **changes))
    with pytest.raises(UserError, match=named):
        open_source(Iteration(name, "file", name), project / name, data)


@pytest.mark.parametrize(
    ("variant", "settings", "said"),
    [
        (ExportVariant("torchscript", "fp16", "outside"), {}, "--device 0"),
        (PLAIN, {"device": "7"}, "device 7"),
        (ExportVariant("engine", "fp16", "outside"), {}, "device 0"),
    ],
)
def test_device_that_is_not_here_is_named_before_any_work(export, project, variant, settings, said):
    with pytest.raises(UserError, match=said):
        export([PLAIN, variant], "never", **settings)
    assert not (project / "never").exists()


@pytest.mark.slow
def test_openvino_is_measured_and_kept_as_a_folder(project, export):
    (result,) = export([ExportVariant("openvino", "fp16", "outside")], "folder")
    assert result.refusal is None
    assert (project / "folder/best-fp16_openvino_model/metadata.yaml").is_file()
    assert hash_path(result.file) == result.facts["sha256"]
