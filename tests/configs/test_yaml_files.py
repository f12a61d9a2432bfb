"""YAML that no configuration needs is refused in one line, with its place."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pixtrack.configs.errors import UserError
from pixtrack.configs.loading import load_prompt, read_yaml
from pixtrack.configs.schema import PromptConfig
from tests.doubles.patience import processor_at_most

BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]\n"
    for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("title: " + "[" * 50_000, "nested too deeply"),
        ("title: " + "{a: " * 5_000, "nested too deeply"),
        ("title:\n" + "".join(" " * n + "a:\n" for n in range(1, 400)), "nested too deeply"),
        ("title: &a [*a]", "refers to itself"),
        ("x: &a {b: *a}", "refers to itself"),
        (BOMB, "use fewer aliases"),
        ("title: x\ntitle: y", "title: given twice (first in line 1)"),
        ("? [a, b]\n: x", "cannot be a key"),
        ("title: 2024-13-45", "not valid YAML"),
        ("a: !!python/object/apply:os.system [ls]", "not valid YAML"),
        ("title: " + "9" * 5_000, "not valid YAML: a number of thousands of digits"),
        ("x" * 3_000_000, "too many"),
        ("- just\n- a list", "expected keys and values"),
        ("1: 2", "mine.yaml:1: "),
    ],
)
def test_hostile_yaml_is_one_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with processor_at_most(30), pytest.raises(UserError) as refused:
        read_yaml(path, PromptConfig, name="mine")
    assert str(path) in str(refused.value) and said in str(refused.value)
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 500


NO_FILES: dict[str, tuple[Callable[[Path], None], str]] = {
    "a folder": (Path.mkdir, "not a file"),
    "a pipe": (os.mkfifo, "not a file"),
    "a link to nothing": (lambda path: path.symlink_to("/no/such"), "a link to /no/such"),
    "a link to itself": (lambda path: path.symlink_to(path), "cannot be read|a link to"),
}


@pytest.mark.parametrize("kind", NO_FILES)
def test_what_has_a_configurations_name_and_is_no_file_is_said_to_be_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """A list names it, so that "unknown: did you mean that one?" would be no answer."""
    make, said = NO_FILES[kind]
    monkeypatch.setenv("PIXTRACK_CONFIGS", str(tmp_path))
    path = tmp_path / "prompts" / "mine.yaml"
    path.parent.mkdir()
    make(path)
    with pytest.raises(UserError, match=said) as refused:
        load_prompt("mine")
    assert str(path) in str(refused.value)
