"""What this machine can run: cards, engine, memory, disk."""

from pixtrack.tasks.environment.cards import Accelerators, Card, CardProcess
from pixtrack.tasks.environment.checks import check_machine
from pixtrack.tasks.environment.choice import choose_model
from pixtrack.tasks.environment.detection import detect
from pixtrack.tasks.environment.memory import MemoryPlan, plan_for_model, plan_memory
from pixtrack.tasks.environment.report import Check, worst
from pixtrack.tasks.environment.unconfigured import find_model
from pixtrack.tasks.environment.versions import engine_platform, engine_version

__all__ = [
    "Accelerators",
    "Card",
    "CardProcess",
    "Check",
    "MemoryPlan",
    "check_machine",
    "choose_model",
    "detect",
    "engine_platform",
    "engine_version",
    "find_model",
    "plan_for_model",
    "plan_memory",
    "worst",
]
