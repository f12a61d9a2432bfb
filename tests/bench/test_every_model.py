"""The table of every architecture, and the measured one that the repository keeps."""

import json
from pathlib import Path

import pytest

from bench import every_model
from bench.architectures import ARCHITECTURES, ROOT

MEASURED = ROOT / "bench" / "measured"


def measured() -> dict[str, object]:
    text = (MEASURED / "h100-every-model.txt").read_text(encoding="utf-8")
    cells = [line.split()[0] for line in text.splitlines()[2:-1]]
    folder = MEASURED / "h100-every-model"
    assert sorted(cells) == sorted(file.stem for file in folder.glob("*.json"))
    return {cell: json.loads((folder / f"{cell}.json").read_text()) for cell in cells}


def test_the_measured_table_is_what_its_results_say() -> None:
    text = (MEASURED / "h100-every-model.txt").read_text(encoding="utf-8")
    assert every_model.table_of(measured()) == text.rstrip("\n")


def test_a_cell_that_failed_shows_the_end_of_its_log(tmp_path: Path) -> None:
    (tmp_path / "nano").mkdir()
    (tmp_path / "nano" / "log.txt").write_text("start\n\nCUDA out of memory\n", encoding="utf-8")
    last = every_model.table(tmp_path, ["nano"]).splitlines()[-1]
    assert last == "nano failed: start | CUDA out of memory"


def test_an_unknown_cell_is_refused_before_anything_starts(tmp_path: Path) -> None:
    options = every_model.parse(["--out", str(tmp_path)])
    for cell in ("pixtral-13b", "pixtral-12b+fp4"):
        with pytest.raises(SystemExit, match="no cell"):
            every_model.run(cell, options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("cell", every_model.CELLS)
def test_every_cell_names_an_architecture_and_a_variant(cell: str) -> None:
    architecture, _, variant = cell.partition("+")
    assert architecture in ARCHITECTURES and variant in every_model.VARIANTS
