"""The site says what the code does: its pages are made from it, and what is written by hand is checked."""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import pixtrack
from docs.pages import PAGES, architecture, commands, configuration, messages
from docs.pages.markdown import code, ours, table, text
from pixtrack.configs.loading import names
from pixtrack.configs.schema import DatasetConfig, ModelConfig, PromptConfig
from pixtrack.tasks.scoring import METRICS
from tests.pixtrack.installed import REPOSITORY

WRITTEN = [
    *sorted((REPOSITORY / "docs").rglob("*.md")),
    REPOSITORY / "README.md",
    REPOSITORY / "CONTRIBUTING.md",
]
"""Pages written by hand."""


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return {place: write() for place, write in PAGES.items()}


def test_every_shipped_thing_has_its_section(pages: dict[str, str]) -> None:
    for kind, place in ((DatasetConfig, "datasets"), (ModelConfig, "models")):
        for name in names(kind):
            assert f"{{#{name}}}" in pages[f"reference/{place}.md"]
    headings = pages["reference/prompts.md"].replace("\\", "").splitlines()
    assert {f"## {name}" for name in names(PromptConfig)} <= set(headings)
    assert {f"## {name}" for name in METRICS} <= set(pages["reference/metrics.md"].splitlines())


def test_every_command_and_every_key_of_a_file_is_explained(pages: dict[str, str]) -> None:
    verbs = dict(commands.tree())
    assert {"pixtrack eval", "pixtrack datasets add", "pixtrack worker"} <= set(verbs)
    for name, command in verbs.items():
        assert re.search(rf"^##+ {name}$", pages["reference/commands.md"], re.MULTILINE)
        assert command.help, name
    for model in configuration.roots():
        for key in set(model.model_fields) - {"name"}:
            assert code(key) in pages["reference/configuration.md"]


def test_scores_of_the_metrics_page_are_computed(
    pages: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from docs.pages import metrics

    name = "exact_match"
    changed = METRICS[name].__class__(name, name, "here", lambda *_: 0.123)
    monkeypatch.setitem(METRICS, name, changed)
    assert "0.123" not in pages["reference/metrics.md"]
    assert metrics.page().count("| 0.123 |") == len(metrics.EXAMPLES)


def test_error_messages_are_those_of_the_source(pages: dict[str, str]) -> None:
    found = [message for _, message in messages.messages()]
    assert len(found) > 150
    assert any("another command is at work on this run" in message for message in found)
    assert any(message.startswith("unknown dataset ") for message in found)
    assert "&#123;" not in pages["reference/messages.md"]
    assert "CUDA out of memory" in pages["reference/messages.md"]


def test_every_import_of_the_picture_points_down_and_no_arrow_is_lost() -> None:
    order = {name: number for number, row in enumerate(architecture.layers()) for name in row}
    assert all(order[importer] < order[imported] for importer, imported in architecture.imports())

    def reached(edges: set[tuple[str, str]], box: str) -> set[str]:
        direct = {b for a, b in edges if a == box}
        return direct.union(*(reached(edges, one) for one in direct))

    drawn, all_of_them = set(architecture.arrows()), set(architecture.imports())
    assert drawn < all_of_them
    for box in order:
        assert reached(drawn, box) == reached(all_of_them, box)


HOSTILE = "<script>alert(1)</script> a|b *c* [d](e) `f` _g_\n# h"


def test_data_is_never_markup() -> None:
    for shown in (text(HOSTILE), code(HOSTILE), table(("x",), [(text(HOSTILE),)])):
        assert "<script>" not in shown
    assert "\n" not in text(HOSTILE)
    assert text("a|b") == "a\\|b" and "|" not in code("a|b")
    assert ours("the key `a_b` of c_d") == "the key <code>a_b</code> of c\\_d"


def said_commands() -> Iterator[tuple[str, str]]:
    """(page, command line) for every `pixtrack …` of the pages."""
    for page in WRITTEN:
        written = page.read_text(encoding="utf-8")
        blocks = re.findall(r"^```sh.*?\n(.*?)^```", written, re.DOTALL | re.MULTILINE)
        lines = [line for block in blocks for line in block.splitlines()]
        prose = re.sub(r"^```.*?^```", "", written, flags=re.DOTALL | re.MULTILINE)
        lines += re.findall(r"(?<!`)`(pixtrack [^`]+)`(?!`)", prose)
        for line in lines:
            found = re.match(r"\s*(?:[A-Z_]+=\S+ )*(pixtrack .*)", line.partition("  #")[0])
            if found:
                yield page.name, found[1]


@pytest.mark.parametrize(("page", "line"), sorted(set(said_commands())))
def test_a_command_that_a_page_names_exists_with_its_options(page: str, line: str) -> None:
    words = shlex.split(line, comments=True)[1:]
    verbs: dict[str, Any] = dict(commands.tree())
    command, options = verbs["pixtrack"], []
    name = "pixtrack"
    for word in words:
        if f"{name} {word}" in verbs:
            name = f"{name} {word}"
            command = verbs[name]
        elif word.startswith("-"):
            options.append(word.partition("=")[0])
    if name == "pixtrack prefect":
        return  # what follows is Prefect's own
    plain = [word for word in words if not word.startswith("-")]
    shorthand = {"…", "COMMAND", "X"}
    assert name != "pixtrack" or not plain or plain[0] in shorthand, f"{page}: no such verb"
    known = {option for one in command.params for option in (*one.opts, *one.secondary_opts)}
    known |= {"--help"}
    assert set(options) <= known, f"{page}: {line}"


INTERNAL = {"PIXTRACK_ROOT", "PIXTRACK_SCRATCH", "PIXTRACK_GUARD"}
"""Set by pixtrack for its own children."""


def test_every_variable_that_is_read_is_explained() -> None:
    explained = set(re.findall(r"`(\w+)", (REPOSITORY / "docs" / "settings.md").read_text()))
    read = set()
    for folder in ("flows", "tasks", "configs"):
        for file in (REPOSITORY / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    read |= set(re.findall(r"^PIXTRACK_[A-Z_]+$", node.value))
    assert len(read) > 4
    assert read - INTERNAL <= explained


def test_troubleshooting_answers_every_problem_of_the_setup_guide() -> None:
    written = (REPOSITORY / "docs" / "troubleshooting.md").read_text()
    for said in (
        "CUDA out of memory", "Could not build wheels for vllm", "does not exist", "slow",
        "trust_remote_code", "mistral_common", "Invalid image format", "--batch-size",
    ):  # fmt: skip
        assert said in written, said


def test_the_python_of_the_pages_uses_what_is_offered() -> None:
    for page in WRITTEN:
        for block in re.findall(
            r"^```python\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE
        ):
            for node in ast.walk(ast.parse(block)):
                if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                    assert node.value.id != "pixtrack" or hasattr(pixtrack, node.attr)


@pytest.mark.parametrize(
    "page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "bench/README.md"]
)
def test_links_between_files_of_the_repository_lead_somewhere(page: str) -> None:
    file = REPOSITORY / page
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", file.read_text(encoding="utf-8")):
        assert (file.parent / target).exists(), target


def test_a_newcomer_reads_two_screens() -> None:
    assert len((REPOSITORY / "README.md").read_text(encoding="utf-8").splitlines()) <= 80


def test_the_hooks_of_pre_commit_are_programs_of_the_environment() -> None:
    config = yaml.safe_load((REPOSITORY / ".pre-commit-config.yaml").read_text())
    entries = [hook["entry"] for repo in config["repos"] for hook in repo["hooks"]]
    programs = {entry.split()[0] for entry in entries}
    assert {Path(program).parent.as_posix() for program in programs} == {".venv/bin"}
    for program in programs:
        assert (Path(sys.executable).parent / Path(program).name).exists()


def test_every_page_is_in_the_contents_and_every_entry_is_a_page() -> None:
    contents = yaml.safe_load((REPOSITORY / "mkdocs.yml").read_text())["nav"]

    def entries(part: Any) -> Iterator[str]:
        for value in part.values() if isinstance(part, dict) else part:
            yield from [value] if isinstance(value, str) else entries(value)

    docs = REPOSITORY / "docs"
    written = {page.relative_to(docs).as_posix() for page in docs.rglob("*.md")}
    generated = {place for place in PAGES if place.endswith(".md")}
    assert set(entries(contents)) == written | generated


def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("material", reason="mkdocs-material is in the extra `docs` (make docs)")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", str(tmp_path / "site")],
        cwd=REPOSITORY, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    site = tmp_path / "site"
    assert (site / "index.html").is_file() and (site / "reference" / "imports.svg").is_file()
    assert not list(site.rglob("*.py"))
    fetched = re.compile(r'(?:src|href)="https?://(?!github\.com)[^"]+\.(?:js|css|woff2?)"')
    assert not fetched.search((site / "index.html").read_text())
