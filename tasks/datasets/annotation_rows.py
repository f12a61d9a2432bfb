"""Samples from an annotation file alone: no image folder, nothing prepared.

For scoring predictions that were made elsewhere. The image's name stands in for its content hash,
so questions are grouped by name; sizes are unknown (0).
"""

from __future__ import annotations

from pathlib import Path

from pixtrack.configs.errors import UserError
from pixtrack.configs.schema import AnnotationDataset, DatasetConfig
from pixtrack.tasks.datasets.annotations import columns_of, read_records
from pixtrack.tasks.datasets.fields import to_row
from pixtrack.tasks.records import Sample


def annotation_samples(path: Path, config: DatasetConfig) -> list[Sample]:
    """The samples of an annotation file in the dataset's row format, in file order.

    `image` is empty and `image_path` the image's name as the file has it. A row that cannot be
    used has its reason in `error`, with file and line. Raises UserError for a missing or empty
    file, and where no row at all can be used (another format, another dataset).
    """
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "no such annotation file"
        raise UserError(f"{path}: {what}: name the dataset's annotation JSONL")
    source = config.source
    chosen = source.columns if isinstance(source, AnnotationDataset) else {}
    columns = columns_of(chosen, config.name)
    samples = []
    for record in read_records(path, columns):
        error = f"{path.name} line {record.line}: {record.error}" if record.error else ""
        name = str(record.values.get("image") or "")
        row = to_row(config.row_format, record.index, record.values, None, name, error)
        problem = row.error or ("" if row.answers else "no gold answer")
        if problem and not error:
            problem = f"{path.name} line {record.line}: {problem}"
        samples.append(
            Sample(
                index=row.index,
                question_id=row.question_id,
                question=row.question,
                answers=row.answers,
                image="",
                image_path=row.image_name,
                width=0,
                height=0,
                history=row.history,
                context=row.context,
                question_type=row.question_type,
                answer_type=row.answer_type,
                flags=row.flags,
                error=problem,
            )
        )
    if not samples:
        raise UserError(f"{path}: the annotation file has no rows")
    if all(sample.error for sample in samples):
        raise UserError(
            f"{samples[0].error}; no row of the file can be read as a row of {config.name} "
            f"(row_format {config.row_format})"
        )
    return samples
