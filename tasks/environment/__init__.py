"""What this machine can run: cards, engine, memory, disk."""

from tasks.environment.cards import Accelerators, Card, CardProcess
from tasks.environment.checks import check_machine
from tasks.environment.choice import choose_model
from tasks.environment.detection import detect
from tasks.environment.memory import MemoryPlan, plan_for_model, plan_memory
from tasks.environment.report import Check, worst
from tasks.environment.versions import engine_platform, engine_version

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
    "plan_for_model",
    "plan_memory",
    "worst",
]
