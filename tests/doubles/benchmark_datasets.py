"""Small parquet shards in the real schemas of the benchmarks beyond the seven.

Columns and types are those of the hub's dataset cards (which each dataset's YAML names); rows are
made up, with the traps of the real ones: options as the text of a Python list, images among the
options and out of order, an image that no text mentions, golds as positions, no golds at all.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from PIL import Image

from pixtrack.configs.loading import load_dataset
from pixtrack.configs.schema import DatasetConfig, HubDataset
from tests.doubles.hub import FakeHub
from tests.doubles.hub_datasets import IMAGE, INT, TEXT, TEXTS, parquet, png
from tests.doubles.hub_datasets import SCHEMAS as SEVEN

_NUMBERED = [(f"image_{number}", IMAGE) for number in range(1, 8)]
_MMMU = pa.schema(
    [
        *[(name, TEXT) for name in ("id", "question", "options", "explanation")],
        *_NUMBERED,
        *[(name, TEXT) for name in ("img_type", "answer", "topic_difficulty", "question_type")],
        ("subfield", TEXT),
    ]
)
_METADATA = pa.struct(
    [
        ("category", TEXT), ("context", TEXT), ("grade", TEXT), ("img_height", INT),
        ("img_width", INT), ("language", TEXT), ("skills", TEXTS), ("source", TEXT),
        ("split", TEXT), ("task", TEXT),
    ]
)  # fmt: skip

SCHEMAS: dict[str, pa.Schema] = {
    "mmmu_val": _MMMU,
    "mmmu_pro_standard": pa.schema(
        [
            *[(name, TEXT) for name in ("id", "question", "options", "explanation")],
            *_NUMBERED,
            *[(name, TEXT) for name in ("img_type", "answer", "topic_difficulty", "subject")],
        ]
    ),
    "mmmu_pro_vision": pa.schema(
        [("id", TEXT), ("image", IMAGE), ("options", TEXT), ("answer", TEXT), ("subject", TEXT)]
    ),
    "mathvista_testmini": pa.schema(
        [
            ("pid", TEXT), ("question", TEXT), ("image", TEXT), ("decoded_image", IMAGE),
            ("choices", TEXTS), ("unit", TEXT), ("precision", pa.float64()), ("answer", TEXT),
            ("question_type", TEXT), ("answer_type", TEXT), ("metadata", _METADATA),
            ("query", TEXT),
        ]
    ),
    "ai2d_test": pa.schema(
        [("question", TEXT), ("options", TEXTS), ("answer", TEXT), ("image", IMAGE)]
    ),
    "ocrbench": pa.schema(
        [
            ("dataset", TEXT), ("question", TEXT), ("question_type", TEXT), ("answer", TEXTS),
            ("image", IMAGE),
        ]
    ),
    "chartqa_test": SEVEN["chartqa_test_human"],
    "seedbench2_plus": pa.schema(
        [
            *[(name, TEXT) for name in ("data_id", "question_id", "question_image_type")],
            *[(name, TEXT) for name in ("question_image_subtype", "question")],
            *[(f"choice_{letter}", TEXT) for letter in "ABCD"],
            *[(name, TEXT) for name in ("answer", "data_source", "data_type", "level")],
            *[(name, TEXT) for name in ("subpart", "version")],
            ("image", IMAGE),
        ]
    ),
    "mmlongbench_doc": pa.schema(
        [
            *[(name, TEXT) for name in ("doc_id", "doc_type", "question", "answer")],
            *[(name, TEXT) for name in ("evidence_pages", "evidence_sources", "answer_format")],
        ]
    ),
    "docvqa_test": SEVEN["docvqa_val"],
    "infographicvqa_test": SEVEN["infographicvqa_val"],
}  # fmt: skip
NAMES = sorted(SCHEMAS)


def cell(number: int) -> dict[str, Any]:
    """An image as the hub's parquet files hold it; another picture for each number."""
    return {"bytes": png(number), "path": f"{number}.png"}


def pdf(number: int, pages: int) -> bytes:
    """A document of small pages; each has its own colour (`page_colour`)."""
    drawn = [Image.new("RGB", (16, 20), page_colour(number, page)) for page in range(pages)]
    buffer = io.BytesIO()
    drawn[0].save(buffer, "PDF", resolution=72, save_all=True, append_images=drawn[1:])
    return buffer.getvalue()


def page_colour(number: int, page: int) -> tuple[int, int, int]:
    """Of the 0-based page of that document of `pdf`."""
    return (40 * (number + 1) % 256, 30 * page % 256, 90)


@dataclass
class BenchmarkCopy:
    """A benchmark on a FakeHub: its configuration there, and the rows that were put there."""

    config: DatasetConfig
    commit: str
    rows: list[dict[str, Any]]

    @property
    def source(self) -> HubDataset:
        """The configured source."""
        assert isinstance(self.config.source, HubDataset)
        return self.config.source


def put_benchmark(
    hub: FakeHub,
    name: str,
    count: int = 6,
    *,
    rows: list[dict[str, Any]] | None = None,
    documents: dict[str, bytes | None] | None = None,
) -> BenchmarkCopy:
    """Puts `count` rows (or `rows`) of a benchmark on the hub, in two shards of small row groups.

    Its other splits lie beside them, empty, and are not to be read. Where rows name documents, these
    have two pages, and three, and so on; `documents` stand in the place of those with their names
    (None: the hub has none of that name).
    """
    config = load_dataset(name)
    source = config.source
    assert isinstance(source, HubDataset)
    mine = rows if rows is not None else [hub_row(name, number) for number in range(count)]
    half = (len(mine) + 1) // 2
    (pattern,) = source.files
    files: dict[str, Any] = {"README.md": b"card"}
    for shard, part in enumerate((mine[:half], mine[half:])):
        files[pattern.replace("*", f"{shard:05d}-of-00002")] = parquet(part, SCHEMAS[name], 2)
    files[f"other/{pattern.replace('*', '00000-of-00001')}"] = b""
    if source.documents is not None:
        named = dict.fromkeys(row["doc_id"] for row in mine if row["doc_id"])
        made: dict[str, bytes | None] = {"unused.pdf": b"x"}
        made |= {document: pdf(number, number + 2) for number, document in enumerate(named)}
        for document, data in (made | (documents or {})).items():
            if data is not None:
                files[source.documents.files.replace("*.pdf", document)] = data
    commit = hub.add("dataset", source.repo, files)
    source = source.model_copy(update={"revision": commit})
    return BenchmarkCopy(
        config.model_copy(update={"source": source, "questions": len(mine)}), commit, mine
    )


def hub_row(name: str, number: int) -> dict[str, Any]:
    """A row as the hub has it."""
    return _ROWS[name](number)


def _mmmu(number: int) -> dict[str, Any]:
    row = {
        "id": f"validation_Art_{number}",
        "question": f"What does <image 1> show in box {number}?",
        "options": "['a $6 note', 'it\\'s \"seven\"']",
        "explanation": "",
        "image_1": cell(number),
        "img_type": "['Paintings']",
        "answer": "B",
        "topic_difficulty": "Easy",
        "question_type": "multiple-choice",
        "subfield": "Drawing",
    }
    if number % 3 == 1:  # open, with several accepted answers
        return row | {"options": "[]", "answer": "['24/7', '3.429']", "question_type": "open"}
    if number % 3 == 2:  # images as options, out of order, and one that no text mentions
        return row | {
            "question": "Which one is <image 1>?",
            "options": "['<image 3>', '<image 2>']",
            "answer": "A",
            **{f"image_{at}": cell(100 * at + number) for at in range(1, 5)},
        }
    return row


def _mmmu_pro(number: int) -> dict[str, Any]:
    row = _mmmu(3 * number)
    del row["subfield"], row["question_type"]
    row |= {
        "id": f"test_History_{number}",
        "options": str([f"option {letter}" for letter in "abcdefghij"]),
        "answer": "J",
        "subject": "History",
        "explanation": "?",
    }
    if number % 3 == 2:  # the answer's image before the question's, and one of them twice
        row |= {
            "question": "Compare <image 2> with <image 1>, and <image 2> again.",
            "image_2": cell(200 + number),
        }
    return row


def _mmmu_pro_vision(number: int) -> dict[str, Any]:
    return {
        "id": f"test_History_{number}",
        "image": cell(number),
        "options": str([f"option {letter}" for letter in "abcdefghij"]),
        "answer": "C",
        "subject": "History",
    }


def _mathvista(number: int) -> dict[str, Any]:
    row: dict[str, Any] = {
        "pid": str(number + 1),
        "question": f"How long is line {number}?",
        "image": f"images/{number + 1}.jpg",
        "decoded_image": cell(number),
        "choices": None,
        "unit": "cm",
        "precision": 1.0,
        "answer": "1.2",
        "question_type": "free_form",
        "answer_type": "float",
        "metadata": {"task": "geometry problem solving", "skills": ["geometry reasoning"]},
        "query": f"Hint: Please answer with one decimal place.\nQuestion: How long is {number}?",
    }
    if number % 2:
        row |= {
            "choices": ["135°", "140°", "145°"],
            "unit": None,
            "precision": None,
            "answer": "145°",
            "question_type": "multi_choice",
            "answer_type": "text",
            "query": "Hint: the option letter.\nQuestion: Which angle?\nChoices:\n(A) 135°\n…",
        }
    return row


def _ai2d(number: int) -> dict[str, Any]:
    return {
        "question": f"What eats the plant {number}?",
        "options": ["rabbit", "fox", "owl", f"beetle {number}"],
        "answer": str(number % 4),
        "image": cell(number // 3),
    }


def _ocrbench(number: int) -> dict[str, Any]:
    formula = "Handwritten Mathematical Expression Recognition"
    return {
        "dataset": "HME100k" if number % 3 == 2 else "IIIT5K",
        "question": "what is written in the image?",
        "question_type": formula if number % 3 == 2 else "Regular Text Recognition",
        "answer": ["\\frac { a } { B }"] if number % 3 == 2 else ["CENTRE", "center"],
        "image": cell(number),
    }


def _chartqa(number: int) -> dict[str, Any]:
    return {
        "type": "human_test" if number < 3 else "augmented_test",
        "question": f"How many bars are there in chart {number}?",
        "answer": str(number),
        "image": cell(number // 2),
    }


def _seedbench2_plus(number: int) -> dict[str, Any]:
    kind = ("chart", "map", "web")[number % 3]
    return {
        "data_id": f"text_rich/{number}.png",
        "question_id": f"text_rich_{number}",
        "question_image_type": kind,
        "question_image_subtype": str(number % 7),
        "question": f"What is labelled {number}?",
        "choice_A": "one",
        "choice_B": "two",
        "choice_C": "three",
        "choice_D": "four",
        "answer": "ABCD"[number % 4],
        "image": cell(number // 2),
    }


def _mmlongbench_doc(number: int) -> dict[str, Any]:
    kinds = (("18.29%", "Float"), ("['a', 'b']", "List"), ("Not answerable", "None"))
    answer, answer_format = kinds[number % 3]
    return {
        "doc_id": f"report {number // 3}.pdf",
        "doc_type": "Research report / Introduction",
        "question": f"What does figure {number} say?",
        "answer": answer,
        "evidence_pages": "[2]" if number % 3 < 2 else "[]",
        "evidence_sources": "['Chart', 'Table']" if number % 3 < 2 else "[]",
        "answer_format": answer_format,
    }


def _docvqa_test(number: int) -> dict[str, Any]:
    return {
        "questionId": str(57344 + number),
        "question": f"What is written in box {number}?",
        "question_types": None,
        "image": cell(number // 2),
        "docId": 5000 + number // 2,
        "answers": None,
        "data_split": "test",
    }


def _infographicvqa_test(number: int) -> dict[str, Any]:
    return {
        "questionId": str(98304 + number),
        "question": f"What share has box {number}?",
        "answers": [] if number % 2 else None,
        "image": cell(number // 2),
        "data_split": "test",
    }


_ROWS = {
    "mmmu_val": _mmmu,
    "mmmu_pro_standard": _mmmu_pro,
    "mmmu_pro_vision": _mmmu_pro_vision,
    "mathvista_testmini": _mathvista,
    "ai2d_test": _ai2d,
    "ocrbench": _ocrbench,
    "chartqa_test": _chartqa,
    "seedbench2_plus": _seedbench2_plus,
    "mmlongbench_doc": _mmlongbench_doc,
    "docvqa_test": _docvqa_test,
    "infographicvqa_test": _infographicvqa_test,
}
