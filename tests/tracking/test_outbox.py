"""What waits to be sent, while it is being sent."""

from __future__ import annotations

import shutil
from threading import Thread

from pipeline.tracking import outbox


def test_files_that_are_sent_meanwhile_weigh_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    own = outbox.create("sqlite:///mlflow.db", "first", "k")
    folders = [own.folder / "files" / str(number) for number in range(2000)]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "sent.png").write_bytes(b"12345")
    assert own.weight() == 10_000
    sending = Thread(target=lambda: [shutil.rmtree(folder) for folder in folders])
    sending.start()
    seen = [own.weight()]
    while sending.is_alive():
        seen.append(own.weight())
    sending.join()
    assert seen == sorted(seen, reverse=True)
    assert own.weight() == 0
    own.discard()
