"""Files that a training writes."""

from pipeline.core.paths import TRAINING_PLOTS_FOLDER
from pipeline.finetune.outputs import write_training_curves


def test_epoch_without_validation_has_empty_cells(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [{"epoch": 1, "train/a": 2.0}, {"epoch": 2, "train/a": 1.0, "val/a": 3.0}]
    write_training_curves(rows)
    assert (TRAINING_PLOTS_FOLDER / "epochs.csv").read_text() == "epoch,train/a,val/a\n1,2,\n2,1,3\n"
    points = (TRAINING_PLOTS_FOLDER / "curves.csv").read_text().splitlines()[1:]
    assert points == ["1,a,train,2", "2,a,train,1", "2,a,val,3"]
