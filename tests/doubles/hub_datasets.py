"""Small parquet shards in the real schemas of the seven datasets, and their annotation files.

Rows are made up; what is real is the columns, their types, and the traps: ids that are all -1,
images that repeat, conversations, ten annotators.
"""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageDraw

from pixtrack.configs.loading import load_dataset
from pixtrack.configs.schema import DatasetConfig, HubDataset
from tests.doubles.hub import FakeHub

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
TEXT, TEXTS, INT = pa.string(), pa.list_(pa.string()), pa.int64()

SCHEMAS: dict[str, pa.Schema] = {
    "docvqa_val": pa.schema(
        [
            ("questionId", TEXT),
            ("question", TEXT),
            ("question_types", TEXTS),
            ("image", IMAGE),
            ("docId", INT),
            ("ucsf_document_id", TEXT),
            ("ucsf_document_page_no", TEXT),
            ("answers", TEXTS),
            ("data_split", TEXT),
        ]
    ),
    "infographicvqa_val": pa.schema(
        [
            ("questionId", TEXT),
            ("question", TEXT),
            ("answers", TEXTS),
            ("answer_type", TEXTS),
            ("image", IMAGE),
            ("image_url", TEXT),
            ("operation/reasoning", TEXTS),
            ("ocr", TEXT),
            ("data_split", TEXT),
        ]
    ),
    "chartqa_test_human": pa.schema(
        [("type", TEXT), ("question", TEXT), ("answer", TEXT), ("image", IMAGE)]
    ),
    "chartqapro_test": pa.schema(
        [
            ("Question", TEXTS),
            ("Answer", TEXTS),
            ("Question Type", TEXT),
            ("image", pa.binary()),
            ("Year", TEXTS),
            ("Paragraph", TEXT),
        ]
    ),
    "textvqa_val": pa.schema(
        [
            ("image_id", TEXT),
            ("question_id", pa.int32()),
            ("question", TEXT),
            ("question_tokens", TEXTS),
            ("image", IMAGE),
            ("image_width", pa.int32()),
            ("image_height", pa.int32()),
            ("answers", TEXTS),
            ("ocr_tokens", TEXTS),
        ]
    ),
    "vqav2_restval": pa.schema(
        [
            ("question_type", TEXT),
            ("multiple_choice_answer", TEXT),
            (
                "answers",
                pa.list_(
                    pa.struct([("answer", TEXT), ("answer_confidence", TEXT), ("answer_id", INT)])
                ),
            ),
            ("image_id", INT),
            ("answer_type", TEXT),
            ("question_id", INT),
            ("question", TEXT),
            ("image", IMAGE),
        ]
    ),
}
SCHEMAS["chartqa_test_augmented"] = SCHEMAS["chartqa_test_human"]
NAMES = sorted(SCHEMAS)


def png(number: int, size: tuple[int, int] = (40, 30)) -> bytes:
    """A small picture, another one for each number."""
    image = Image.new("RGB", size, (number * 37 % 256, number * 11 % 256, 120))
    ImageDraw.Draw(image).text((2, 8), str(number), fill="white")
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


@dataclass
class HubCopy:
    """A dataset on a FakeHub: its configuration there, and what was put there."""

    config: DatasetConfig
    commit: str
    rows: list[dict[str, Any]]
    """The parquet rows that belong to the dataset, in the order of the annotation file."""
    annotations: bytes

    @property
    def source(self) -> HubDataset:
        """The configured source."""
        assert isinstance(self.config.source, HubDataset)
        return self.config.source


def put_on_hub(
    hub: FakeHub,
    name: str,
    count: int = 12,
    *,
    rows: list[dict[str, Any]] | None = None,
    shuffled: bool = False,
    shards: int = 2,
    row_group: int = 4,
    annotations: bool = True,
) -> HubCopy:
    """Puts `count` rows of a dataset on the hub; its configuration points there.

    `shuffled`: the hub's rows stand in another order than the annotation file's.
    """
    config = load_dataset(name)
    source = config.source
    assert isinstance(source, HubDataset)
    mine = rows if rows is not None else [hub_row(name, number) for number in range(count)]
    on_hub = mine[1::2] + mine[::2] if shuffled else list(mine)
    on_hub = _with_others(name, on_hub)
    files: dict[str, Any] = {"README.md": b"card"}
    pattern = source.files[0]
    per_shard = -(-len(on_hub) // shards)
    for shard in range(shards):
        path = pattern.replace("*", f"{shard:05d}-of-{shards:05d}")
        part = on_hub[shard * per_shard : (shard + 1) * per_shard]
        files[path] = parquet(part, SCHEMAS[name], row_group)
    files[pattern.replace("validation", "train").replace("test", "train").replace("*", "00000")] = (
        b""
    )
    commit = hub.add("dataset", source.repo, files)
    lines = [annotation_line(name, number, row) for number, row in enumerate(mine)]
    text = b"".join(json.dumps(line, ensure_ascii=False).encode() + b"\n" for line in lines)
    changes: dict[str, Any] = {"revision": commit, "annotations_url": ""}
    if annotations:
        path = source.annotations_file.replace("*", "data/")
        hub.add("dataset", source.annotations_repo, {path: text})
        changes["annotations_sha256"] = hashlib.sha256(text).hexdigest()
    source = source.model_copy(update=changes)
    config = config.model_copy(update={"source": source, "questions": len(mine)})
    return HubCopy(config, commit, mine, text)


def parquet(rows: list[dict[str, Any]], schema: pa.Schema, row_group: int) -> bytes:
    """A parquet file as the hub has them: small row groups, snappy."""
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), file, row_group_size=row_group)
    return file.getvalue()


def _with_others(name: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of the split that are not the dataset's, among those that are."""
    if name.startswith("chartqa_"):
        other = "augmented_test" if name.endswith("human") else "human_test"
        extra = [{**row, "type": other, "question": "Other?"} for row in rows[:3]]
        return [*extra, *rows]
    if name == "vqav2_restval":
        extra = [{**hub_row(name, 900 + number)} for number in range(len(rows))]
        return [row for pair in zip(rows, extra, strict=True) for row in pair]
    return rows


def hub_row(name: str, number: int) -> dict[str, Any]:
    """A row as the hub has it; every second image repeats."""
    image = {"bytes": png(number // 2), "path": f"{number // 2}.png"}
    question = f"What is written in box {number}?"
    if name == "docvqa_val":
        types = ["handwritten", "form"] if number % 3 == 0 else ["layout"]
        return {
            "questionId": str(49153 + number),
            "question": question,
            "question_types": types,
            "image": image,
            "docId": number // 2,
            "answers": [f"{number}", f"{number}.0"],
            "data_split": "val",
        }
    if name == "infographicvqa_val":
        return {
            "questionId": str(98313 + number),
            "question": question,
            "answers": [f"{number}%"],
            "answer_type": ["single span"],
            "image": image,
            "operation/reasoning": ["counting"] if number % 2 else [],
            "data_split": "val",
        }
    if name.startswith("chartqa_"):
        kind = "human_test" if name.endswith("human") else "augmented_test"
        # The same question and gold on another image: only the order tells them apart.
        same = "What is the maximum?" if number in (2, 7) else question
        return {"type": kind, "question": same, "answer": "5", "image": image}
    if name == "chartqapro_test":
        if number % 4 == 1:
            return {
                "Question": ["First?", "Second?", f"Third {number}?"],
                "Answer": ["one", "two", "three"],
                "Question Type": "Conversational",
                "image": image["bytes"],
                "Year": ["NO", "YES", "NO"],
                "Paragraph": "",
            }
        return {
            "Question": [question],
            "Answer": ["nan" if number == 2 else f"{number}"],
            "Question Type": "Factoid",
            "image": image["bytes"],
            "Year": ["Yes" if number == 3 else "NO"],
            "Paragraph": "Some words." if number == 3 else "",
        }
    ten = ["yes"] * 7 + ["no"] * 3
    if name == "textvqa_val":
        return {
            "image_id": f"im{number // 2}",
            "question_id": 34602 + number,
            "question": question,
            "image": image,
            "answers": ten,
            "ocr_tokens": ["a"],
        }
    return {
        "question_type": "what is",
        "multiple_choice_answer": "yes",
        "answers": [
            {"answer": answer, "answer_confidence": "yes", "answer_id": i + 1}
            for i, answer in enumerate(ten)
        ],
        "image_id": number // 2,
        "answer_type": "yes/no",
        "question_id": 452060000 + number,
        "question": question,
        "image": image,
    }


def annotation_line(name: str, number: int, row: dict[str, Any]) -> dict[str, Any]:
    """The same row in the layout of the public annotation files."""
    image = f"{number // 2}.png"
    if name in ("docvqa_val", "infographicvqa_val"):
        return {
            "image": image,
            "question": row["question"],
            "question_id": int(row["questionId"]),
            "answer": row["answers"],
        }
    if name.startswith("chartqa_"):
        return {
            "image": f"test/png/{image}",
            "question": row["question"],
            "question_id": -1,
            "answer": row["answer"],
        }
    if name == "chartqapro_test":
        return {
            "question_id": f"{number:06d}",
            "image": f"{number:06d}.jpeg",
            "question": row["Question"],
            "answer": row["Answer"],
            "question_type": row["Question Type"],
            "year": row["Year"],
        }
    answers = [
        answer["answer"] if isinstance(answer, dict) else answer for answer in row["answers"]
    ]
    return {
        "image": image,
        "question": row["question"],
        "question_id": row["question_id"],
        "answer": [
            {"answer_id": i, "answer": answer, "answer_confidence": "yes"}
            for i, answer in enumerate(answers)
        ],
    }
