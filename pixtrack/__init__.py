"""pixtrack: a workflow-orchestrated experiment tracker for vision-language models.

From Python:

    import pixtrack

    run = pixtrack.evaluate("sample", "pixtral-nano", limit=50)
    print(run.headline.value, run.headline.ci95)
    print(run.scores[["question", "prediction", "exact_match"]])

    other = pixtrack.load_run("pixtral-nano-early@sample")
    print(pixtrack.compare(run, other).verdict)

Whatever a user can mend raises `pixtrack.UserError` with one line that says what and how. Nothing
is imported before it is used: `import pixtrack` takes milliseconds.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pixtrack.api import (
        Comparison,
        Interval,
        Run,
        Scores,
        UserError,
        compare,
        evaluate,
        evaluate_all,
        load_run,
        score,
    )

    __version__: str

__all__ = [
    "Comparison",
    "Interval",
    "Run",
    "Scores",
    "UserError",
    "__version__",
    "compare",
    "evaluate",
    "evaluate_all",
    "load_run",
    "score",
]


def __getattr__(name: str) -> Any:
    """Imports a name of the API when it is first used."""
    if name == "__version__":
        from pixtrack.configs.version import version

        value: Any = version()
    elif name in __all__:
        from importlib import import_module

        value = getattr(import_module("pixtrack.api"), name)
    else:
        raise AttributeError(f"module 'pixtrack' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The names of the API, imported or not."""
    return sorted({*globals(), *__all__})
