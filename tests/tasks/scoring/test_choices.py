"""Options, letters and guesses: a guess belongs to its question and to nothing else."""

from __future__ import annotations

from pixtrack.tasks.records import Gold
from pixtrack.tasks.scoring import METRICS
from pixtrack.tasks.scoring.choices import GOLD_IS_TEXT, gold_letters, guess, letters

OPTIONS = ("one", "two", "three", "four")


def gold(index: int = 0, answer: str = "B") -> Gold:
    return Gold((answer,), index=index, options=OPTIONS)


def test_a_guess_belongs_to_its_question_alone() -> None:
    """In any order, and however often it is asked for."""
    forwards = [guess(gold(index)) for index in range(200)]
    backwards = [guess(gold(index)) for index in reversed(range(200))]
    assert forwards == backwards[::-1]


def test_guesses_are_spread_over_the_options() -> None:
    drawn = [guess(gold(index)) for index in range(2_000)]
    assert all(400 < drawn.count(letter) < 600 for letter in letters(gold()))


def test_guessing_scores_what_chance_scores_and_not_guessing_scores_nothing() -> None:
    for name in ("mmmu", "mmmu_pro"):
        scores = [METRICS[name].function("no idea", gold(index)) for index in range(2_000)]
        assert 0.2 < sum(score or 0.0 for score in scores) / 2_000 < 0.3
    assert METRICS["mmmu_no_guess"].function("no idea", gold()) == 0.0
    assert METRICS["multiple_choice"].function("no idea", gold()) == 0.0


def test_a_golds_letter_is_found_by_letter_or_by_text() -> None:
    assert gold_letters(gold()) == ("B",)
    assert gold_letters(gold(answer="three")) == ("C",)
    assert gold_letters(gold(answer="five")) == ("five",)
    crossed = Gold(("A",), options=("B", "A"))
    assert gold_letters(crossed) == ("A",)
    assert gold_letters(Gold(("A",), options=("B", "A"), details=(GOLD_IS_TEXT,))) == ("B",)
