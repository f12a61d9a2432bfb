"""Files of questions as people have them, and what adding them gives."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pixtrack.configs.paths import Home
from pixtrack.tasks.datasets import prepare
from pixtrack.tasks.datasets.adding import add_dataset
from pixtrack.tasks.datasets.new_dataset import NewDataset
from pixtrack.tasks.records import Sample
from tests.tasks.datasets.conftest import Folder


def added(folder: Folder, file: Path, home: Home, **options: Any) -> tuple[list[Sample], str]:
    """The samples of a file that was added, and what was said of it."""
    values = {"name": "mine", "qa_file": file, "img_folder": folder.images, "replace": True}
    said: list[str] = []
    result = add_dataset(NewDataset(**{**values, **options}), on_understood=said.extend)
    return list(prepare(result.config, home).samples), "\n".join(said)


ROWS: list[dict[str, Any]] = [
    {"id": "a", "question": "One?", "answer": ["1", "one"], "image": "0.png"},
    {"id": "b", "question": "Two?", "answer": ["2"], "image": "1.png"},
]


def write_json(path: Path, data: Any) -> Path:
    path.write_text(json.dumps(data), encoding="utf-8")
    return path


def write_table(path: Path, delimiter: str) -> Path:
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(["id", "question", "answer", "image"])
        writer.writerows([r["id"], r["question"], str(r["answer"]), r["image"]] for r in ROWS)
    return path


def write_parquet(path: Path, folder: Folder, how: str) -> Path:
    def image(row: dict[str, Any]) -> Any:
        data = (folder.images / row["image"]).read_bytes()
        return {"bytes": data, "path": {"bytes": data, "path": "x.png"}, "name": row["image"],
                "list": [{"bytes": data, "path": None}]}[how]  # fmt: skip

    pq.write_table(pa.Table.from_pylist([{**row, "image": image(row)} for row in ROWS]), path)
    return path


FILES: dict[str, Callable[[Path, Folder], Path]] = {
    "JSON Lines": lambda at, _: write_lines(at / "q.jsonl", ROWS),
    "a JSON list": lambda at, _: write_json(at / "q.json", ROWS),
    "DocVQA's data": lambda at, _: write_json(at / "q.json", {"dataset": "x", "data": ROWS}),
    "objects by id": lambda at, _: write_json(at / "q.json", {r["id"]: r for r in ROWS}),
    "CSV": lambda at, _: write_table(at / "q.csv", ","),
    "TSV": lambda at, _: write_table(at / "q.tsv", "\t"),
    "parquet with bytes": lambda at, f: write_parquet(at / "q.parquet", f, "bytes"),
    "parquet with an Image": lambda at, f: write_parquet(at / "q.parquet", f, "path"),
    "parquet with names": lambda at, f: write_parquet(at / "q.parquet", f, "name"),
    "parquet with lists": lambda at, f: write_parquet(at / "q.parquet", f, "list"),
}


def write_lines(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path
