"""Make a version the champion if the gate lets it, and record the decision either way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from pipeline.comparison.compare_models import choose_resamples, compare_predictions
from pipeline.comparison.comparison_result import ModelComparison
from pipeline.comparison.models.training_images import count_training_images, remark_on_training_images
from pipeline.config.schema import Config
from pipeline.core.errors import UserError
from pipeline.dataset.stored_predictions import StoredPredictions
from pipeline.iterations.iteration import Iteration
from pipeline.registry.complete_record import complete_last_record
from pipeline.registry.decision_record import Contest, describe_decision, record_decision
from pipeline.registry.gate import GateCheck, GateDecision, judge_comparison, judge_origin
from pipeline.registry.open_registry import ModelRegistry, open_registry
from pipeline.registry.predict_pair import predict_pair
from pipeline.registry.register import register_iteration
from pipeline.runtime.progress import print_notice
from pipeline.storage.scratch_folder import create_scratch_folder
from pipeline.tracking.store.registry.champion_history import (
    ChampionChange,
    change_champion,
)
from pipeline.tracking.store.registry.registered_model import (
    CHALLENGER,
    CHAMPION,
    find_aliased_version,
    hold_registry_lock,
    registry_errors_as_sentences,
)


class Promotion(NamedTuple):
    """What came of a promotion.

    Attributes:
        contest: The two versions.
        decision: Of the gate.
        notes: What was evaluated anew, for people.
    """

    contest: Contest
    decision: GateDecision
    notes: tuple[str, ...]


class Judgement(NamedTuple):
    """What the gate found.

    Attributes:
        comparison: With the champion; None if there is none, or it could not be made.
        checks: All checks.
        notes: What was evaluated anew, for people.
        champion: The predictions of the champion; they are valid while the gate judges.
        seen: Number of test images that the model, or its base weights, was trained on; None if nobody knows.
        is_own_data: Whether the test images are those of its own dataset.
    """

    comparison: ModelComparison | None = None
    checks: tuple[GateCheck, ...] = ()
    notes: tuple[str, ...] = ()
    champion: StoredPredictions | None = None
    seen: int | None = 0
    is_own_data: bool = True


def promote_model(reference: str | None, config: Config, *, force: str = "", export: str = "") -> Promotion:
    """Make a model the champion if the gate lets it, or if it is forced; the decision is recorded.

    Args:
        reference: Names a training; by default the version with the alias `challenger`. One that is not
            registered yet is registered, and does not get that alias: a refused model is nobody's choice.
        config: `registry`, `evaluate`, `tracking` and the seed are used.
        force: Why it is to be promoted even if the gate refuses; empty if it is not.
        export: A format whose exported file must pass too, such as onnx; empty for none.

    Raises:
        UserError: The model cannot be judged.
        ChampionChangedError: Another command changed the champion meanwhile.
    """
    registry = open_registry(config)
    challenger, contest = _find_contest(registry, reference)
    found = _judge(registry, challenger, contest, force=force, export=export)
    decision = GateDecision(found.checks, found.comparison, force)
    with hold_registry_lock(registry.target):
        if decision.outcome != "refused":
            change = ChampionChange(
                "promote", contest.challenger, contest.champion, describe_decision(contest, decision)
            )
            change_champion(registry.store, registry.name, change, expected=contest.champion)
        record_decision(registry.store, contest, decision)
    return Promotion(contest, decision, found.notes)


def _find_contest(registry: ModelRegistry, reference: str | None) -> tuple[Iteration, Contest]:
    """Return the model that wants to be the champion, registered, and the two versions."""
    named = registry.resolve(_require_challenger(registry) if reference is None else reference)
    registered = register_iteration(registry, named, is_challenger=False)
    version = registered.version
    if registered.is_new:
        print_notice(f"promote: {named.label} is {registry.name}/{version} now")
    with hold_registry_lock(registry.target):
        complete_last_record(registry.store, registry.name)
        champion = find_aliased_version(registry.store, registry.name, CHAMPION)
    if champion == version:
        raise UserError(f"{registry.name}/{version} is the champion already")
    challenger = registry.resolve(f"{registry.name}/{version}")  # `workspace` has no tags of its run
    return challenger, Contest(registry.name, version, champion)


def _require_challenger(registry: ModelRegistry) -> str:
    with registry_errors_as_sentences(registry.target):
        version = find_aliased_version(registry.store, registry.name, CHALLENGER)
    if version is None:
        raise UserError(
            f"no version of {registry.name} is the {CHALLENGER}: name a run, or run "
            "`python -m pipeline register RUN` first"
        )
    return f"{registry.name}/{version}"


def _judge(
    registry: ModelRegistry, challenger: Iteration, contest: Contest, *, force: str, export: str
) -> Judgement:
    """Make all checks; a comparison that cannot be made fails where the promotion is forced."""
    with _open_folder() as folder:
        found = Judgement()
        if contest.champion:
            try:
                found = _compare(registry, challenger, contest, folder / "checkpoints")
            except UserError as error:
                if not force:
                    raise
                found = Judgement(checks=(GateCheck("main", False, f"not compared: {error}"),))
        checks = (
            *found.checks,
            *judge_origin(challenger.tags, challenger.params, found.seen, is_own_data=found.is_own_data),
        )
        if export:
            wanted = (export, found.champion)
            checks += (_check_export(registry, challenger, wanted, folder / "export"),)
    return found._replace(checks=checks)


def _compare(registry: ModelRegistry, challenger: Iteration, contest: Contest, folder: Path) -> Judgement:
    config = registry.config
    champion = registry.resolve(f"{contest.name}/{contest.champion}")
    pair = predict_pair(champion, challenger, config, registry.target, folder)
    comparison = compare_predictions(
        pair.champion,
        pair.challenger,
        labels=(f"{contest.name}/{contest.champion}", f"{contest.name}/{contest.challenger}"),
        resamples=choose_resamples(config.evaluate),
        seed=config.seed,
    )
    images, data = [image.sha256 for image in pair.challenger.images], pair.challenger.data
    notes = remark_on_training_images(champion, images, data=pair.champion.data, name="the comparison")
    return Judgement(
        comparison,
        judge_comparison(comparison, registry.rules, pair.champion.names),
        (*pair.notes, *notes),
        pair.champion,
        count_training_images(challenger, images, data=data),
        challenger.data == data,
    )


def _check_export(
    registry: ModelRegistry,
    challenger: Iteration,
    wanted: tuple[str, StoredPredictions | None],
    folder: Path,
) -> GateCheck:
    from pipeline.registry.check_export import ExportRequirements, check_exported_file

    form, champion = wanted
    requirements = ExportRequirements(form, registry.rules, champion)
    return check_exported_file(
        challenger, requirements, registry.config, target=registry.target, folder=folder
    )


@contextmanager
def _open_folder() -> Iterator[Path]:
    """Yield an empty folder of the project, which is deleted after the block."""
    with TemporaryDirectory(dir=create_scratch_folder("registry"), prefix="promote-") as folder:
        yield Path(folder)
