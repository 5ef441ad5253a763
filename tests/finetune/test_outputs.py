"""Files that a training writes: all of them, or none."""

import pytest

from pipeline.core.paths import FINETUNED_FOLDER, TRAINING_METRICS_FILE, TRAINING_PLOTS_FOLDER
from pipeline.finetune.outputs import write_training_outputs
from tests.disks import filled_disk, mount_small_disk

ROWS = [{"epoch": 1, "train/a": 2.0}, {"epoch": 2, "train/a": 1.0, "val/a": 3.0}]


def write(weights=b"weights", epochs=2):
    write_training_outputs({"best": weights}, {"run_id": "a"}, rows=ROWS, report={"epochs": epochs})


def test_epoch_without_validation_has_empty_cells(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write()
    assert (TRAINING_PLOTS_FOLDER / "epochs.csv").read_text() == "epoch,train/a,val/a\n1,2,\n2,1,3\n"
    points = (TRAINING_PLOTS_FOLDER / "curves.csv").read_text().splitlines()[1:]
    assert points == ["1,a,train,2", "2,a,train,1", "2,a,val,3"]


@pytest.mark.fault(13, "a full disk")
@pytest.mark.parametrize("left", [0, 50_000, 250_000])
def test_full_disk_leaves_all_earlier_outputs(tmp_path, monkeypatch, left):
    """The weights fit in none, in some, or in all but the last of the cases."""
    with mount_small_disk(tmp_path / "disk", kilobytes=2000) as disk:
        monkeypatch.chdir(disk)
        write()
        before = contents()
        with filled_disk(disk, left=left), pytest.raises(OSError, match="No space left"):
            write(bytes(240_000), epochs=3)
        assert contents() == before
        write(bytes(240_000), epochs=3)
        assert contents() != before
        monkeypatch.chdir(tmp_path)


def contents():
    folders = FINETUNED_FOLDER, TRAINING_PLOTS_FOLDER
    files = [path for folder in (*folders, TRAINING_METRICS_FILE.parent) for path in folder.rglob("*")]
    return {str(path): path.read_bytes() for path in files if path.is_file()}
