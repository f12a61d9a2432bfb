"""One line of the environment report."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

Status = Literal["ok", "warning", "failed"]


class Check(BaseModel):
    """One line of the report: what was checked, with which result, and the remedy."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    status: Status
    """`warning`: works, with the consequence named in the detail. `failed`: cannot work."""
    detail: str
    remedy: str = ""
    """Empty where there is nothing to do."""


def ok(name: str, detail: str) -> Check:
    """A check with nothing to object to."""
    return Check(name=name, status="ok", detail=detail)


def warning(name: str, detail: str, remedy: str) -> Check:
    """A check of something that works with a consequence."""
    return Check(name=name, status="warning", detail=detail, remedy=remedy)


def failed(name: str, detail: str, remedy: str) -> Check:
    """A check of something that cannot work."""
    return Check(name=name, status="failed", detail=detail, remedy=remedy)


def worst(checks: list[Check]) -> Status:
    """The worst status among the checks."""
    found = {check.status for check in checks}
    return "failed" if "failed" in found else "warning" if "warning" in found else "ok"
