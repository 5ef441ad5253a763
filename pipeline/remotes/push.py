"""Push data, weights and experiments to the team's remotes; the same command again goes on."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from pipeline.core.errors import UserError
from pipeline.core.text import format_count
from pipeline.remotes.branch import list_unpushed_owners, push_branch, read_pushable_branch
from pipeline.remotes.experiment_refs import (
    SyncedExperiments,
    list_experiment_refs,
    list_git_remotes,
    list_owners,
    push_experiments,
)
from pipeline.remotes.object_checks import DamagedObject, check_cached_objects
from pipeline.remotes.object_plan import ObjectPlan, name_objects, plan_objects
from pipeline.remotes.remaining_steps import list_remaining_steps
from pipeline.remotes.run_records import RunRecord, find_shared_records
from pipeline.remotes.sync_request import SyncRequest
from pipeline.runtime.progress import Progress
from pipeline.storage.dvc_remotes.object_store import ObjectStore
from pipeline.storage.dvc_remotes.open_store import open_object_store
from pipeline.storage.dvc_remotes.tracked_objects import WORKSPACE_OWNER, TrackedObject


def push_iterations(project: Path, request: SyncRequest) -> Iterator[str]:
    """Push what the workspace and the experiments need, then the experiments; yield what was done.

    Objects are verified before they are pushed. Nothing names them on the git remote until they are there:
    what is committed while they are uploaded is left to the next push.

    Args:
        project: The project's folder.
        request: What to push.

    Raises:
        UserError: A remote is missing or fails, or something is damaged or lost.
    """
    own = list_experiment_refs(project) if request.experiments else []
    git_remote = _find_git_remote(project, request)
    branch = read_pushable_branch(project) if git_remote and request.branch else None
    owners = list_owners(project, own)
    if git_remote and branch:
        owners = list_unpushed_owners(project, git_remote, branch.commit) | owners
    with open_object_store(project, request.remote) as store:
        store.require_folder(creates=True)
        plan = plan_objects(store, owners)
        yield from plan.skipped
        yield from _push_objects(store, plan, verify=request.verify)
        name = store.name
    if git_remote and own:
        done = push_experiments(project, git_remote, own, force=request.force)
        yield _describe_experiments(done, git_remote)
    if git_remote and branch:
        push_branch(project, git_remote, branch)
        yield f"the branch {branch.name} is on {git_remote}"
    for step in list_remaining_steps(project, git_remote=git_remote, dvc_remote=name):
        yield f"left to do: {step}"


def _find_git_remote(project: Path, request: SyncRequest) -> str | None:
    """Return the git remote, or None where git has none at all and nothing was asked of it."""
    known = list_git_remotes(project)
    if request.git_remote in known:
        return request.git_remote
    if known or (request.branch and request.git_remote):
        has = f"it has {', '.join(known)}" if known else "it has none: `git remote add origin URL`"
        raise UserError(f"git has no remote {request.git_remote}: {has}; name one by --git-remote")
    return None


def _push_objects(store: ObjectStore, plan: ObjectPlan, *, verify: bool) -> Iterator[str]:
    if not plan.objects and not plan.lost:
        raise UserError("there is nothing to push yet: `dvc repro` makes the first data and weights")
    records = find_shared_records(store, plan.objects)
    wanted = plan.objects | _list_small_outputs(store, plan.objects, records)
    there = store.find_on_remote(wanted)
    cached = store.find_cached(wanted.keys() if verify else wanted.keys() - there)
    damaged = check_cached_objects(store, {oid: wanted[oid] for oid in cached}, command="push")
    _require_undamaged(damaged)
    missing = sorted(oid for oid in cached if oid not in there)
    size = sum(store.get_cache_path(oid).stat().st_size for oid in missing)
    with Progress("push", len(missing), unit="files uploaded") as progress:
        for lists in (False, True):  # the last, since the list of a folder says that its files are there
            part = [oid for oid in missing if wanted[oid].is_folder == lists]
            store.upload(part, progress.update)
    new = {record.path for record in records} - store.list_records(on_remote=True)
    store.copy_records(sorted(new), to_remote=True)
    copied = format_count(len(missing), "file")
    place = f"{store.name} ({store.address})"
    yield f"{copied} ({size / 1e6:,.1f} MB) uploaded to {place}, {len(there):,} there before"
    yield from _report_lost(plan, wanted.keys() - there - cached)


def _list_small_outputs(
    store: ObjectStore, objects: Mapping[str, TrackedObject], records: Sequence[RunRecord]
) -> dict[str, TrackedObject]:
    """Return outputs that git tracks: the run cache needs them as objects, too."""
    outputs = {each.oid: each for record in records for each in record.outputs}
    cached = store.find_cached(outputs.keys() - objects.keys())
    return {oid: outputs[oid] for oid in cached}


def _require_undamaged(damaged: Sequence[DamagedObject]) -> None:
    if damaged:
        raise UserError(
            f"damaged in DVC's cache, so that nothing was pushed: {name_objects(map(_get_object, damaged))}. "
            f"The damaged files are in {damaged[0].aside.parent} now; run `dvc repro` to make those of the "
            "workspace again, or pull them from a remote that has them"
        )


def _get_object(damaged: DamagedObject) -> TrackedObject:
    return damaged.object


def _report_lost(plan: ObjectPlan, oids: Collection[str]) -> Iterator[str]:
    """Yield a sentence about what experiments have lost; what the workspace has lost is an error."""
    lost = [*plan.lost, *plan.damaged, *(plan.objects[oid] for oid in oids if oid in plan.objects)]
    own = [each for each in lost if each.owner == WORKSPACE_OWNER]
    if others := [each for each in lost if each.owner != WORKSPACE_OWNER]:
        yield f"neither in DVC's cache nor on the remote: {name_objects(others)}"
    if own:
        raise UserError(
            f"neither in DVC's cache nor on the remote: {name_objects(own)}; the others are pushed. Run "
            "`dvc repro`, which makes them again, then push again"
        )


def _describe_experiments(done: SyncedExperiments, remote: str) -> str:
    text = (
        f"{format_count(len(done.copied), 'experiment')} pushed to {remote}, {len(done.kept):,} there before"
    )
    if done.different:
        names = ", ".join(each.name for each in done.different[:3])
        text += f"; {remote} has other results of {len(done.different):,} ({names}): --force replaces them"
    return text
