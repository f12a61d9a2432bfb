"""The answer normaliser of the VQA evaluation, and its agreement with ten annotators.

Source: GT-Vision-Lab/VQA `vqaEval.py` (processPunctuation, processDigitArticle), which EvalAI and
the m4c evaluator of facebookresearch/mmf carry over. Its oddities are part of the score and kept:
the period expression is not the look-behind that it was meant to be, the flag handed to it lands
in the argument `count`, some contractions are spelled with capitals that lower-cased words never
have, and one maps the wrong way. Digits are Unicode's, as in the Python 3 ports that are run today.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

MARKS = ';/[]"{}()=+\\_-><@`,?!'
"""Each is deleted, or becomes a blank: see `strip_punctuation`."""

NUMBER_WORDS = {
    "none": "0",
    "zero": "0",
    "one": "1",
    "two": "2",
    "three": "3",
    "four": "4",
    "five": "5",
    "six": "6",
    "seven": "7",
    "eight": "8",
    "nine": "9",
    "ten": "10",
}
ARTICLES = frozenset({"a", "an", "the"})

_PERIOD = re.compile(r"(?!<=\d)(\.)(?!\d)")
_PERIODS_AT_MOST = int(re.UNICODE)
"""32: the published code passes the flag where `re.sub` takes the count."""

COMMA_IN_NUMBER = re.compile(r"\d,\d")
"""The official evaluator's."""
COMMAS_IN_NUMBER = re.compile(r"(?<=\d),+(?=\d)")
"""The m4c evaluator's, and so lmms-eval's: also sees "1,,000"."""

# The published table, "key=value", with its identities ("let's"), its keys with capitals, and
# "somebody'd", which maps the other way round.
_CONTRACTIONS = """
aint=ain't arent=aren't cant=can't couldve=could've couldnt=couldn't couldn'tve=couldn't've
couldnt've=couldn't've didnt=didn't doesnt=doesn't dont=don't hadnt=hadn't hadnt've=hadn't've
hadn'tve=hadn't've hasnt=hasn't havent=haven't hed=he'd hed've=he'd've he'dve=he'd've hes=he's
howd=how'd howll=how'll hows=how's Id've=I'd've I'dve=I'd've Im=I'm Ive=I've isnt=isn't
itd=it'd itd've=it'd've it'dve=it'd've itll=it'll let's=let's maam=ma'am mightnt=mightn't
mightnt've=mightn't've mightn'tve=mightn't've mightve=might've mustnt=mustn't mustve=must've
neednt=needn't notve=not've oclock=o'clock oughtnt=oughtn't ow's'at='ow's'at 'ows'at='ow's'at
'ow'sat='ow's'at shant=shan't shed've=she'd've she'dve=she'd've she's=she's shouldve=should've
shouldnt=shouldn't shouldnt've=shouldn't've shouldn'tve=shouldn't've somebody'd=somebodyd
somebodyd've=somebody'd've somebody'dve=somebody'd've somebodyll=somebody'll
somebodys=somebody's someoned=someone'd someoned've=someone'd've someone'dve=someone'd've
someonell=someone'll someones=someone's somethingd=something'd somethingd've=something'd've
something'dve=something'd've somethingll=something'll thats=that's thered=there'd
thered've=there'd've there'dve=there'd've therere=there're theres=there's theyd=they'd
theyd've=they'd've they'dve=they'd've theyll=they'll theyre=they're theyve=they've twas='twas
wasnt=wasn't wed've=we'd've we'dve=we'd've weve=we've werent=weren't whatll=what'll
whatre=what're whats=what's whatve=what've whens=when's whered=where'd wheres=where's
whereve=where've whod=who'd whod've=who'd've who'dve=who'd've wholl=who'll whos=who's
whove=who've whyll=why'll whyre=why're whys=why's wont=won't wouldve=would've
wouldnt=wouldn't wouldnt've=wouldn't've wouldn'tve=wouldn't've yall=y'all yall'll=y'all'll
y'allll=y'all'll yall'd've=y'all'd've y'alld've=y'all'd've y'all'dve=y'all'd've youd=you'd
youd've=you'd've you'dve=you'd've youll=you'll youre=you're youve=you've
"""
CONTRACTIONS = dict(pair.split("=") for pair in _CONTRACTIONS.split())


def one_line(text: str) -> str:
    """Line breaks and tabs as blanks, none at the ends: what precedes every comparison."""
    return text.replace("\n", " ").replace("\t", " ").strip()


def strip_punctuation(text: str, comma_in_number: re.Pattern[str]) -> str:
    """`text` without punctuation.

    A mark is deleted if it touches a blank somewhere in the text, or if the text has a comma
    between digits; otherwise it becomes a blank. Periods go unless a digit follows.
    """
    number = None
    stripped = text
    for mark in MARKS:
        if mark not in text:
            continue
        if number is None:
            number = comma_in_number.search(text) is not None
        deleted = number or f"{mark} " in text or f" {mark}" in text
        stripped = stripped.replace(mark, "" if deleted else " ")
    return _PERIOD.sub("", stripped, count=_PERIODS_AT_MOST)


def standard_words(text: str) -> str:
    """Lower-cased words: number words as digits, no articles, contractions with apostrophes."""
    numbered = (NUMBER_WORDS.get(word, word) for word in text.lower().split())
    kept = (word for word in numbered if word not in ARTICLES)
    return " ".join(CONTRACTIONS.get(word, word) for word in kept)


def agreement(prediction: str, answers: Sequence[str]) -> float:
    """Mean, over the leave-one-out subsets of the annotators, of min(1, matches / 3).

    Of n annotators m gave the prediction: n - m subsets still hold m matches, m hold m - 1. Made
    for ten of them: with three or fewer no answer can score 1, with a single one none has a score.
    """
    total = len(answers)
    matches = sum(answer == prediction for answer in answers)
    if not matches:
        return 0.0
    with_all, with_one_less = min(1.0, matches / 3), min(1.0, (matches - 1) / 3)
    return ((total - matches) * with_all + matches * with_one_less) / total
