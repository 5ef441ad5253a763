"""The size of the waiting files while the sender deletes them."""

from __future__ import annotations

import shutil
from threading import Thread

from pipeline.tracking.outbox import create_outbox


def test_files_that_are_sent_meanwhile_do_not_count(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    outbox = create_outbox("sqlite:///mlflow.db", "first", "k")
    folders = [outbox.folder / "files" / str(number) for number in range(2000)]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "sent.png").write_bytes(b"12345")
    assert outbox.count_waiting_bytes() == 10_000
    sending = Thread(target=lambda: [shutil.rmtree(folder) for folder in folders])
    sending.start()
    sizes = [outbox.count_waiting_bytes()]
    while sending.is_alive():
        sizes.append(outbox.count_waiting_bytes())
    sending.join()
    assert sizes == sorted(sizes, reverse=True)
    assert outbox.count_waiting_bytes() == 0
    outbox.delete()
