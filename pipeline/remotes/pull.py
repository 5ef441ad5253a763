"""Pull data, weights and experiments from the team's remotes; the same command again goes on."""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterator
from pathlib import Path

from pipeline.core.errors import UserError
from pipeline.core.text import format_count
from pipeline.remotes.experiment_refs import (
    SyncedExperiments,
    fetch_experiments,
    list_experiment_refs,
    list_git_remotes,
    list_owners,
)
from pipeline.remotes.object_checks import check_cached_objects
from pipeline.remotes.object_plan import ObjectPlan, name_objects, plan_objects
from pipeline.remotes.run_records import find_shared_records
from pipeline.remotes.sync_request import SyncRequest
from pipeline.runtime.progress import Progress, print_notice
from pipeline.storage.dvc_remotes.object_store import ObjectStore
from pipeline.storage.dvc_remotes.open_store import open_object_store
from pipeline.storage.dvc_remotes.tracked_objects import WORKSPACE_OWNER, TrackedObject


def pull_iterations(project: Path, request: SyncRequest) -> Iterator[str]:
    """Pull experiments, then what they and the workspace need; write the workspace's data and weights.

    Everything that is downloaded is verified, and what the cache has is verified before it is written into
    the workspace.

    Args:
        project: The project's folder; its dvc.lock says what the workspace needs.
        request: What to pull.

    Raises:
        UserError: A remote is missing or fails, or does not have what the workspace needs.
    """
    if request.experiments:
        yield from _fetch_experiments(project, request)
    own = list_experiment_refs(project) if request.experiments else []
    with open_object_store(project, request.remote) as store:
        store.require_folder(creates=False)
        plan = plan_objects(store, list_owners(project, own))
        yield from plan.skipped
        damaged = _check_before_use(store, plan, verify=request.verify)
        missing = plan.objects.keys() - store.find_cached(plan.objects)
        bad = yield from _download(store, plan, missing)
        _fetch_records(store, plan)
        lost = _list_lost(store, plan, exclude=bad)
        yield _write_workspace(store)
        yield from _report(store, lost, bad, damaged=damaged)


def _fetch_experiments(project: Path, request: SyncRequest) -> Iterator[str]:
    remote = request.git_remote
    if remote not in list_git_remotes(project):
        yield f"git has no remote {remote}, so that no experiments come: `git remote add {remote} URL`"
        return
    done: SyncedExperiments = fetch_experiments(project, remote, force=request.force)
    fetched = format_count(len(done.copied), "experiment")
    text = f"{fetched} fetched from {remote}, {len(done.kept):,} here before"
    if done.different:
        names = ", ".join(each.name for each in done.different[:3])
        text += f"; {len(done.different):,} have other results here ({names}): --force replaces them"
    yield text


def _check_before_use(store: ObjectStore, plan: ObjectPlan, *, verify: bool) -> list[TrackedObject]:
    """Verify what is about to be written into the workspace; set aside and return what is damaged."""
    outputs = tuple(f"{path}/" for path in store.list_changed_outputs())
    used = {
        oid: each
        for oid, each in plan.objects.items()
        if verify or (each.owner == WORKSPACE_OWNER and f"{each.path}/".startswith(outputs))
    }
    cached = store.find_cached(used)
    damaged = check_cached_objects(store, {oid: used[oid] for oid in cached}, command="pull")
    if damaged:
        print_notice(
            f"pull: damaged in DVC's cache, and moved to {damaged[0].aside.parent}: "
            f"{name_objects([each.object for each in damaged])}"
        )
    return [each.object for each in damaged]


def _download(
    store: ObjectStore, plan: ObjectPlan, missing: Collection[str]
) -> Generator[str, None, list[TrackedObject]]:
    """Download what the cache lacks; yield what was done, and return what the remote has damaged."""
    there = sorted(store.find_on_remote(missing))
    with Progress("pull", len(there), unit="files downloaded") as progress:
        done = store.download(there, progress.update)
    size = sum(store.get_cache_path(oid).stat().st_size for oid in done.copied)
    copied = format_count(len(done.copied), "file")
    yield f"{copied} ({size / 1e6:,.1f} MB) downloaded from {store.name} ({store.address})"
    return [*plan.damaged, *(plan.objects[oid] for oid in done.damaged)]


def _fetch_records(store: ObjectStore, plan: ObjectPlan) -> None:
    """Fetch the run cache's records, and the small outputs of those whose folders are needed."""
    new = store.list_records(on_remote=True) - store.list_records(on_remote=False)
    store.copy_records(sorted(new), to_remote=False)
    shared = find_shared_records(store, plan.objects)
    small = {each.oid for record in shared for each in record.outputs} - plan.objects.keys()
    missing = small - store.find_cached(small)
    store.download(sorted(store.find_on_remote(missing)), lambda _: None)


def _list_lost(
    store: ObjectStore, plan: ObjectPlan, *, exclude: Collection[TrackedObject]
) -> list[TrackedObject]:
    known = {each.oid for each in exclude}
    absent = plan.objects.keys() - store.find_cached(plan.objects) - known
    return [*plan.lost, *(plan.objects[oid] for oid in absent)]


def _write_workspace(store: ObjectStore) -> str:
    """Write those outputs of the workspace that are complete in the cache."""
    changed = store.write_outputs(store.list_complete_outputs())
    return (
        f"{format_count(changed, 'file')} written into the workspace"
        if changed
        else "the workspace has its data and weights"
    )


def _report(
    store: ObjectStore,
    lost: Collection[TrackedObject],
    bad: Collection[TrackedObject],
    *,
    damaged: Collection[TrackedObject],
) -> Iterator[str]:
    """Yield what experiments lack; what the workspace lacks, and damage on the remote, is an error."""
    if bad:
        first = min(bad, key=lambda each: each.path)
        raise UserError(
            f"damaged on the remote {store.name}: {name_objects(bad)}. Delete "
            f"{store.get_remote_path(first.oid)}{' and the others' if len(bad) > 1 else ''} there, and push "
            "again from a machine that has it"
        )
    again = {each.oid for each in damaged}
    own = [each for each in lost if each.owner == WORKSPACE_OWNER]
    if others := [each for each in lost if each.owner != WORKSPACE_OWNER]:
        yield f"the remote {store.name} does not have {name_objects(others)}"
    if own and any(each.oid in again for each in own):
        raise UserError(
            f"damaged in DVC's cache, and not on the remote {store.name}: {name_objects(own)}: run "
            "`dvc repro`, which makes them again"
        )
    if own:
        raise UserError(
            f"the remote {store.name} does not have {name_objects(own)}: push again from a machine that "
            "has it, or run `dvc repro`, which makes them again"
        )
