"""How fast datasets are prepared, and in how much memory.

    python bench/prepare.py --kind folder --images 5000     # annotation JSONL and image folder
    python bench/prepare.py --kind hub --images 1286        # parquet shards at DocVQA's size
    python bench/prepare.py --kind documents --documents DIR --dpi 144   # PDF files, all pages

Makes scanned-page-like images of 1700×2200 in a temporary folder (PNG and JPEG, sizes like
DocVQA's), prepares them in a process of its own, and prints one JSON line: images a second, the
processor time (which other programs do not add to), and the peak resident memory of that process.
The local hub runs in another process. Documents are the user's own: one question each unless
--questions says how many; the memory is then the sum of this process's peak and as many of the
largest rendering process's peaks as there are such processes.
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import os
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

SIZE = (1700, 2200)


def pages(count: int) -> list[bytes]:
    """Distinct page-like images: half PNG (grey), half JPEG (colour)."""
    made = []
    for number in range(count):
        rng = np.random.default_rng(number)
        page = np.full((SIZE[1], SIZE[0]), 250, np.uint8)
        for line in range(100, 2100, 40):
            ink = rng.random((24, 1400)) < 0.25
            page[line : line + 24, 150:1550][ink] = 30
        page = np.clip(page + rng.normal(0, 2, page.shape), 0, 255).astype(np.uint8)
        file = io.BytesIO()
        if number % 2:
            Image.fromarray(page).convert("RGB").save(file, "JPEG", quality=80)
        else:
            Image.fromarray(page // 16 * 16).save(file, "PNG")
        made.append(file.getvalue())
    return made


def distinct(data: bytes, number: int) -> bytes:
    """The same picture under another hash: a few bytes behind its end."""
    return data + number.to_bytes(4, "big")


def folder(root: Path, images: int, questions: int) -> dict[str, Any]:
    """An annotation file and an image folder."""
    base = pages(20)
    (root / "images").mkdir(parents=True)
    for number in range(images):
        data = distinct(base[number % 20], number)
        (root / "images" / f"{number}.img").write_bytes(data)
    with (root / "qa.jsonl").open("w") as file:
        for number in range(questions):
            line = {"image": f"{number % images}.img", "question": f"What is {number}?"}
            file.write(json.dumps({**line, "answer": ["a"], "question_id": number}) + "\n")
    return {
        "kind": "annotations",
        "qa_file": str(root / "qa.jsonl"),
        "img_folder": str(root / "images"),
    }


def documents(root: Path, pdfs: Path, dpi: int, questions: int) -> dict[str, Any]:
    """So many questions on the documents of a folder in turn; 0: one on each."""
    root.mkdir(parents=True)
    names = sorted(path.name for path in pdfs.glob("*.pdf"))
    if not names:
        sys.exit(f"{pdfs}: no PDF documents; name their folder: --documents")
    with (root / "qa.jsonl").open("w") as file:
        for number in range(questions or len(names)):
            name = names[number % len(names)]
            line = {"image": name, "question": f"What is {number}?", "answer": ["a"]}
            file.write(json.dumps(line) + "\n")
    return {
        "kind": "annotations",
        "qa_file": str(root / "qa.jsonl"),
        "img_folder": str(pdfs.absolute()),
        "dpi": dpi,
    }


def shards(root: Path, images: int, questions: int, row_group: int) -> dict[str, Path]:
    """Parquet shards as the hub has DocVQA's: each question's row holds its image again."""
    base = pages(20)
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    schema = pa.schema(
        [
            ("questionId", pa.string()),
            ("question", pa.string()),
            ("answers", pa.list_(pa.string())),
            ("image", image),
        ]
    )
    files: dict[str, Path] = {}
    per_shard = -(-questions // 6)
    root.mkdir(parents=True)
    for shard in range(6):
        name = f"DocVQA/validation-{shard:05d}-of-00006.parquet"
        files[name] = root / f"{shard}.parquet"
        with pq.ParquetWriter(files[name], schema) as writer:
            numbers = range(shard * per_shard, min(questions, (shard + 1) * per_shard))
            for start in range(0, len(numbers), row_group):
                rows = [
                    {
                        "questionId": str(n),
                        "question": f"What is {n}?",
                        "answers": ["a"],
                        "image": {"bytes": distinct(base[n % images % 20], n % images), "path": ""},
                    }
                    for n in numbers[start : start + row_group]
                ]
                writer.write_table(pa.Table.from_pylist(rows, schema), row_group_size=row_group)
    return files


def serve(files: dict[str, Path], ready: Any, stop: Any) -> None:
    """The local hub, in a process of its own."""
    from tests.doubles.hub import FakeHub

    with FakeHub() as hub:
        commit = hub.add("dataset", "bench/pages", dict(files))
        ready.put((hub.url, commit))
        stop.wait()


def measure(source: dict[str, Any], home: Path, out: Any) -> None:
    """Prepares, in a process of its own, and reports time and peak memory."""
    from pixtrack.configs.paths import Home
    from pixtrack.configs.schema import DatasetConfig
    from pixtrack.tasks.datasets import prepare
    from pixtrack.tasks.datasets.pdf_renderers import MOST_RENDERERS

    config = DatasetConfig.model_validate(
        {
            "name": "bench",
            "title": "bench",
            "source": source,
            "metrics": ["anls"],
            "headline": "anls",
            "prompt": "plain",
            "licence": "",
        }
    )
    begin = time.perf_counter()
    ready = prepare(config, Home(home))
    seconds = time.perf_counter() - begin
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu_seconds = sum(one.ru_utime + one.ru_stime for one in used)
    begin = time.perf_counter()
    prepare(config, Home(home))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if list((home / "pages").glob("*")):  # else a child is a short fork of this process
        renderer = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        peak += renderer * min(MOST_RENDERERS, os.cpu_count() or 1)
    stored = sum(path.stat().st_size for path in (home / "images").rglob("*") if path.is_file())
    images = len({image.sha256 for sample in ready.samples for image in sample.images})
    shown = sum(len(sample.images) for sample in ready.samples)
    out.put(
        {
            "images": images,
            "images_shown": shown,
            "questions": len(ready.samples),
            "failed": ready.source["failed"],
            "megabytes": round(stored / 1e6),
            "seconds": round(seconds, 2),
            "cpu_seconds": round(cpu_seconds, 2),
            "images_per_s": round(images / seconds, 1),
            "questions_per_s": round(len(ready.samples) / seconds, 1),
            "again_seconds": round(time.perf_counter() - begin, 3),
            "peak_rss_mb": round(peak),
        }
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", choices=["folder", "hub", "documents"], default="folder")
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--questions", type=int, default=0, help="default: one an image")
    parser.add_argument("--row-group", type=int, default=100)
    beside = Path(__file__).resolve().parents[2] / "shared/benchmarks/mmlongbench_doc/documents"
    parser.add_argument("--documents", type=Path, default=beside, help="a folder of PDF files")
    parser.add_argument("--dpi", type=int, default=144)
    parser.add_argument("--where", type=Path, default=None, help="folder for the temporary files")
    options = parser.parse_args()
    questions = options.questions or options.images
    spawn = multiprocessing.get_context("spawn")
    root = Path(tempfile.mkdtemp(prefix="pixtrack-bench-", dir=options.where))
    stop = spawn.Event()
    server = None
    try:
        if options.kind == "folder":
            source = folder(root / "data", options.images, questions)
        elif options.kind == "documents":
            source = documents(root / "data", options.documents, options.dpi, options.questions)
        else:
            files = shards(root / "data", options.images, questions, options.row_group)
            ready = spawn.Queue()
            server = spawn.Process(target=serve, args=(files, ready, stop))
            server.start()
            os.environ["HF_ENDPOINT"], commit = ready.get()
            source = {
                "kind": "hub",
                "repo": "bench/pages",
                "revision": commit,
                "files": ["DocVQA/validation-*.parquet"],
                "columns": {
                    "question_id": "questionId",
                    "question": "question",
                    "answers": "answers",
                    "image": "image",
                },
            }
        out = spawn.Queue()
        job = spawn.Process(target=measure, args=(source, root / "home", out))
        job.start()
        print(json.dumps({"kind": options.kind, "cores": os.cpu_count(), **out.get()}))
        job.join()
    finally:
        stop.set()
        if server is not None:
            server.join()
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
