"""The report of `pixtrack check`: what this machine can run, one line each, with its remedy."""

from __future__ import annotations

from pathlib import Path

from pixtrack.configs.errors import UserError
from pixtrack.configs.paths import Home
from pixtrack.configs.schema import ModelConfig
from pixtrack.tasks.download import files_of, model_directory
from pixtrack.tasks.environment import engine_checks, host_checks
from pixtrack.tasks.environment.detection import detect
from pixtrack.tasks.environment.memory import MemoryPlan, plan_memory
from pixtrack.tasks.environment.report import Check, failed, ok, warning
from pixtrack.tasks.environment.versions import engine_platform


def check_machine(
    home: Home,
    model: ModelConfig | None = None,
    model_dir: Path | None = None,
    *,
    ask_hub: bool | None = None,
) -> list[Check]:
    """The report, in the order in which the checks depend on each other.

    Never raises. Takes about 0.1 s without the hub.

    Args:
        home: the data home
        model: also check whether its files are here and complete, and whether it fits (the
            arithmetic is the detail)
        model_dir: overrides where its files are
        ask_hub: whether to check that the hub answers; None: only where something may have to be
            downloaded
    """
    found = detect()
    runs_here = model is None or model.source.has_files
    missing_bytes = 0.0
    about_model: list[Check] = []
    if model is not None:
        files, missing_bytes = _files(model, home, model_dir)
        about_model.append(files)
        if runs_here:
            about_model.append(fit(model, _directory(model, home, model_dir)))
    checks = [host_checks.system(), host_checks.python(), host_checks.memory()]
    checks.append(host_checks.disk(home, missing_bytes))
    checks.append(host_checks.shared_memory())
    if runs_here:
        checks += _as_the_engine_minds(engine_checks.accelerators(found))
        checks.append(engine_checks.engine(found))
        checks.append(host_checks.strays())
    if ask_hub or (ask_hub is None and (model is None or missing_bytes)):
        checks.append(host_checks.hub())
    return checks + about_model


def _as_the_engine_minds(cards: list[Check]) -> list[Check]:
    """The checks of the cards, their failures as warnings where the installed engine uses the
    CPU.
    """
    if engine_platform() != "cpu":
        return cards
    return [
        warning(line.name, f"{line.detail}; the CPU engine does without it", line.remedy)
        if line.status == "failed"
        else line
        for line in cards
    ]


def _directory(model: ModelConfig, home: Home, model_dir: Path | None) -> Path | None:
    """The directory of the model's files; None where they are not on this machine yet."""
    directory = model_directory(model, home, model_dir)
    has_sizes = any((directory / name).is_file() for name in ("params.json", "config.json"))
    return directory if has_sizes else None


def _files(model: ModelConfig, home: Home, model_dir: Path | None) -> tuple[Check, float]:
    """Whether the model's files are here or can be fetched, and the bytes still to be
    downloaded.
    """
    found = files_of(model, model_dir).availability(home)
    line = Check(
        name=f"model {model.name}",
        status=found.status,
        detail=found.detail,
        remedy=found.remedy,
    )
    return line, found.missing_bytes


def fit(model: ModelConfig, directory: Path | None) -> Check:
    """Whether the model fits on this machine, with the arithmetic."""
    name = f"memory for {model.name}"
    said = f"; publisher: {model.memory}" if model.memory else ""
    try:
        plan = plan_here(model, directory)
    except UserError as error:
        return warning(name, str(error), "the plan is made once the files are here")
    if not plan.fits:
        return failed(name, plan.refusal + said, "choose a smaller model, or use an endpoint")
    detail = f"{plan.layout()}; {arithmetic(plan)}{said}"
    if plan.possible_replicas > max(1, len(plan.replicas)):
        count = plan.possible_replicas
        detail += f"; with -dp {count} the {len(detect().cards)} cards answer at once"
    if plan.notes:
        return warning(name, detail, "; ".join(plan.notes))
    return ok(name, detail)


def plan_here(model: ModelConfig, directory: Path | None) -> MemoryPlan:
    """The memory plan for the cards of this machine, or for the CPU where none can be used."""
    cards = () if engine_platform() == "cpu" else detect().cards
    return plan_memory(model, None, cards, directory=directory)


def arithmetic(plan: MemoryPlan) -> str:
    """The sum behind the verdict, on one line, in GiB per card."""
    gib = 1 << 30
    return (
        f"weights {plan.weight_bytes / gib:.1f} + activations {plan.activation_bytes / gib:.1f} + "
        f"overhead {plan.overhead_bytes / gib:.1f} + KV cache {plan.kv_bytes / gib:.1f} GiB of "
        f"{plan.budget_bytes / gib:.1f} GiB"
    )
