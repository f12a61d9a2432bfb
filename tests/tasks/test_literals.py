"""Lists written as Python's text: read as literals, never evaluated."""

from __future__ import annotations

import pytest

from pixtrack.tasks.literals import LONGEST, NotALiteral, read_list, read_literal


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("['a', 'b']", ("a", "b")),
        ("[\"don't\", '\"']", ("don't", '"')),
        ("[]", ()),
        ("'a'", None),
        ("(1, 2)", None),
        ("[a, b]", None),
        ("[1", None),
        ("[print(1)]", None),
        ("[1 + 1]", None),
        ("", None),
    ],
)
def test_a_list_of_literals_is_read_and_nothing_is_evaluated(
    text: str, expected: tuple[str, ...] | None
) -> None:
    assert read_list(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "[" + "-" * 4_900 + "1]",
        "[" * 4_900,
        "[" * 90 + "]" * 80,
        "{" * 2_400 + "}" * 2_400,
        "(" * 300 + ")" * 300,
        "[" + "1" * 4_900 + "]",
        "[" + "1," * LONGEST + "]",
        "[1\0]",
        "[lambda: 0]",
        "[f'{1}']",
    ],
)
def test_what_python_chokes_on_is_no_list(text: str) -> None:
    assert read_list(text) is None


def test_what_is_no_literal_is_told_without_its_text() -> None:
    with pytest.raises(NotALiteral, match=r"^SyntaxError$"):
        read_literal("secret text")
