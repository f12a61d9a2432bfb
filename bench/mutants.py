"""Mutation testing: every small change of a module that no test notices is a promise without one.

    python -m bench.mutants                      # every area, into data/mutants/
    python -m bench.mutants journal statistics   # these alone
    python -m bench.mutants metrics --sample 200 # a part of an area's mutants, chosen at random
    python -m bench.mutants --show journal       # the survivors of the last run, as differences

mutmut changes a copy of the files (an operator, a number, a string, an argument; one change at a
time) and runs the tests that reach the changed function. A change after which they all pass
survives: a test is missing, or the change makes no difference. The copy has the folders flows/,
tasks/ and configs/ in place of the links in pixtrack/, since mutmut takes a module's name from
where its file lies. Not part of CI: an area takes minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
QUICK = "not engine and not server and not browser and not slow"


@dataclass(frozen=True)
class Area:
    """Modules that are changed together, and the tests that must notice."""

    modules: tuple[str, ...]
    """Paths below the repository; `*` stands for any name."""
    tests: tuple[str, ...]
    functions: tuple[str, ...] = ()
    """Only these functions of the modules are changed; (): all."""
    without: tuple[str, ...] = ()
    """Tests that start processes of their own, which mutmut cannot follow, or take long."""


AREAS = {
    "metrics": Area(
        tuple(
            f"tasks/scoring/{name}.py"
            for name in (
                *("anls", "exact_match", "relaxed_accuracy", "chartqapro", "ocrbench"),
                *("vqa_accuracy*", "vqa_answers", "mistral_evals*", "mmlongbench_doc", "mathvista"),
                *("mmmu*", "multiple_choice", "choices", "damqa", "list_literals", "limits"),
                *("postprocess", "reasoning"),
            )
        ),
        (
            "tests/tasks/scoring/test_published_code.py",
            "tests/tasks/scoring/test_choices.py",
            "tests/tasks/scoring/test_postprocess.py",
            "tests/tasks/scoring/test_reasoning.py",
        ),
        without=(
            "test_every_real_question_scores_as_the_published_code_scored_it",
            "test_the_known_figures_of_the_public_implementations_come_out",
            "test_every_annotation_row_is_read",
            "test_all_questions_of_all_datasets_score_in_seconds",
        ),
    ),
    "summaries": Area(
        (
            "tasks/scoring/scored.py",
            "tasks/scoring/summaries.py",
            "tasks/scoring/breakdowns.py",
            "tasks/scoring/outcomes.py",
        ),
        (
            "tests/tasks/scoring/test_scored.py",
            "tests/tasks/scoring/test_finishing.py",
            "tests/tasks/scoring/test_outcomes.py",
            "tests/tasks/test_promises.py",
        ),
    ),
    "statistics": Area(
        ("tasks/scoring/uncertainty.py", "tasks/comparison/statistics.py"),
        (
            "tests/tasks/scoring/test_uncertainty.py",
            "tests/tasks/scoring/test_own.py",
            "tests/tasks/comparison/test_statistics.py",
            "tests/tasks/test_promises.py",
        ),
    ),
    "journal": Area(
        ("tasks/runs/journal.py",),
        (
            "tests/tasks/runs/test_journal.py",
            "tests/tasks/runs/test_parts.py",
            "tests/tasks/runs/test_invocations.py",
            "tests/tasks/test_promises.py",
        ),
        without=("test_a_killed_writer_loses_no_answer_and_frees_the_lock",),
    ),
    "fingerprint": Area(
        ("tasks/runs/opening.py", "tasks/runs/directory.py"),
        (
            "tests/tasks/runs/test_identity.py",
            "tests/tasks/runs/test_opening.py",
            "tests/tasks/test_promises.py",
        ),
        functions=("identity_of", "_shown", "sampling", "fingerprint", "run_name"),
    ),
    "schedule": Area(
        (
            "tasks/inference/worker/schedule.py",
            "tasks/inference/worker/group_run.py",
            "tasks/inference/worker/grouping.py",
            "tasks/inference/worker/fitting.py",
        ),
        (
            "tests/tasks/inference/worker/test_schedule.py",
            "tests/tasks/inference/worker/test_grouping.py",
            "tests/tasks/inference/worker/test_fitting.py",
        ),
    ),
}

KILLED, SURVIVED = (1, 3), (0,)
"""pytest's exit codes for failing tests; mutmut's further ones: 33 no test reaches it, 36 timeout."""


def main() -> None:
    """Mutates the chosen areas and prints how many changes the tests noticed, by module."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("areas", nargs="*", help=f"of {', '.join(AREAS)}; default: all")
    parser.add_argument("--show", action="store_true", help="show the survivors of the last run")
    parser.add_argument("--sample", type=int, help="only so many mutants of an area, at random")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--into", type=Path, default=REPOSITORY / "data" / "mutants")
    arguments = parser.parse_args()
    chosen: Sequence[str] = arguments.areas or list(AREAS)
    if unknown := [name for name in chosen if name not in AREAS]:
        sys.exit(f"no such area: {', '.join(unknown)}; there are {', '.join(AREAS)}")
    for name in chosen:
        folder = arguments.into / name
        if arguments.show:
            show(folder)
            continue
        mutate(AREAS[name], folder, arguments.processes, arguments.sample)
        for module, ends in sorted(by_module(folder).items()):
            print(f"{name:12} {module:48} {rate(ends)}", flush=True)


def mutate(area: Area, folder: Path, processes: int, sample: int | None = None) -> None:
    """Copies the repository into the folder and runs mutmut there, on all mutants or a sample."""
    shutil.rmtree(folder, ignore_errors=True)
    copy_files(folder)
    settings = {
        "source_paths": ["pixtrack"],
        "only_mutate": [f"pixtrack/{module}" for module in area.modules],
        "also_copy": ["tests", "bench"],
        "pytest_add_cli_args": [
            *("-m", QUICK, "-p", "no:cacheprovider"),
            *(("-k", f"not ({' or '.join(area.without)})") if area.without else ()),
        ],
        "pytest_add_cli_args_test_selection": list(area.tests),
        # Forked from a process that has run no test: a cache that is filled already would answer
        # in place of the changed function.
        "process_isolation": "forkserver",
        "timeout_constant": 5.0,
        "timeout_multiplier": 10.0,
    }
    lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
    with (folder / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write("\n[tool.mutmut]\n" + "\n".join(lines) + "\n")
    chosen: list[str] = []
    if sample is not None or area.functions:
        _mutmut(folder, "run", "none")  # makes the mutants and finds none of that name
        chosen = [name for _, name, _ in _ends(folder) if _is_of(name, area.functions)]
    if sample is not None:
        chosen = random.Random(0).sample(chosen, min(sample, len(chosen)))
    code = _mutmut(folder, "run", "--max-children", str(processes), *chosen)
    if code:
        tail = (folder / "mutmut.log").read_text(encoding="utf-8", errors="replace")[-2000:]
        sys.exit(f"mutmut ended with code {code}; {folder / 'mutmut.log'} ends:\n{tail}")


def _is_of(mutant: str, functions: Sequence[str]) -> bool:
    """Whether a mutant (module.x_function__mutmut_1, module.xǁClassǁmethod__mutmut_1) is of one."""
    function = mutant.rpartition(".")[2].partition("__mutmut_")[0]
    return not functions or any(
        function == f"x_{name}" or function.endswith(f"ǁ{name}") for name in functions
    )


def _mutmut(folder: Path, *arguments: str) -> int:
    with (folder / "mutmut.log").open("ab") as log:
        return subprocess.run(
            [sys.executable, "-m", "mutmut", *arguments],
            cwd=folder, env=_environment(), stdout=log, stderr=subprocess.STDOUT,
        ).returncode  # fmt: skip


def copy_files(folder: Path) -> None:
    """Every tracked file, the three folders of code where the links in pixtrack/ point to them."""
    listed = subprocess.run(
        ["git", "-C", str(REPOSITORY), "ls-files", "-z", "--cached", "--others",
         "--exclude-standard"],
        capture_output=True, check=True,
    ).stdout.decode()  # fmt: skip
    linked = {"flows", "tasks", "configs", "experiments", "prefect.yaml"}
    for name in filter(None, listed.split("\0")):
        source = REPOSITORY / name
        if source.is_symlink() or not source.is_file():
            continue
        target = folder / ("pixtrack" if name.split("/")[0] in linked else "") / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)


def by_module(folder: Path) -> dict[str, Counter[str]]:
    """How the mutants of each module ended."""
    found: dict[str, Counter[str]] = {}
    for module, _, code in _ends(folder):
        end = "killed" if code in KILLED else "survived" if code in SURVIVED else _other(code)
        found.setdefault(module, Counter())[end] += 1
    return found


def _ends(folder: Path) -> Iterator[tuple[str, str, int | None]]:
    """Module, mutant and exit code of each."""
    for path in sorted((folder / "mutants").rglob("*.meta")):
        module = str(path.relative_to(folder / "mutants" / "pixtrack")).removesuffix(".meta")
        ends = json.loads(path.read_text(encoding="utf-8"))["exit_code_by_key"]
        for name, code in ends.items():
            yield module, name, code


def _other(code: int | None) -> str:
    return {None: "not run", 5: "untested", 33: "untested", 34: "skipped", 37: "killed"}.get(
        code, "timeout"
    )


def rate(ends: Counter[str]) -> str:
    """Noticed of those run, a mutant that never ends counted as noticed, and the rest's ends."""
    noticed, every = ends["killed"] + ends["timeout"], ends.total() - ends["not run"]
    if not every:
        return "none run"
    rest = ", ".join(f"{ends[end]} {end}" for end in sorted(ends) if end != "killed" and ends[end])
    return f"{noticed:5} of {every:5} ({noticed / every:6.1%})" + (f"  {rest}" if rest else "")


def show(folder: Path) -> None:
    """Prints each mutant that no test noticed, as a difference."""
    for _, name, code in _ends(folder):
        if code in SURVIVED or _other(code) == "untested":
            subprocess.run(
                [sys.executable, "-m", "mutmut", "show", name], cwd=folder, env=_environment()
            )


def _environment() -> dict[str, str]:
    hidden = ("PYTHONPATH", "PIXTRACK_HOME", "PIXTRACK_CONFIGS")
    return {name: value for name, value in os.environ.items() if name not in hidden}


if __name__ == "__main__":
    main()
