"""Outboxes are listed as those who send see them, and nothing is created."""

import json

from pipeline.tracking.examination.waiting_outboxes import list_waiting_outboxes
from pipeline.tracking.outbox import create_outbox


def test_messages_that_were_not_sent_are_counted(project):
    outbox = create_outbox("sqlite:///mlflow.db", "trial", "key")
    outbox.append("create", stage="finetune")
    outbox.append("metrics", values={"a": 1.0}, step=1)
    [found] = list_waiting_outboxes(project / ".finetrack/outbox")
    assert (found.uri, found.waiting, found.is_ended) == ("sqlite:///mlflow.db", 2, False)
    [(sent, message), _] = outbox.read_pending()
    outbox.mark_sent(sent, message)
    outbox.append("end", stage="finetune", status="finished")
    [found] = list_waiting_outboxes(project / ".finetrack/outbox")
    assert (found.waiting, found.is_ended) == (2, True)
    outbox.release()


def test_damaged_files_are_no_error(project):
    folder = project / ".finetrack/outbox/abc"
    folder.mkdir(parents=True)
    for name in ("head.json", "state.json", "messages.jsonl"):
        (folder / name).write_bytes(b"\xff{")
    [found] = list_waiting_outboxes(folder.parent)
    assert (found.uri, found.waiting) == ("", 1)
    (folder / "state.json").write_text(json.dumps({"sent": "many"}))
    assert len(list_waiting_outboxes(folder.parent)) == 1


def test_without_a_folder_there_are_none(project):
    assert list_waiting_outboxes(project / ".finetrack/outbox") == []
    assert [*project.iterdir()] == []
