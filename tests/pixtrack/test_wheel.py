"""What `pip install` of the wheel brings: one name, each file once, and commands that work."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path

from tests.pixtrack.installed import REPOSITORY, VERSION, Installed, source_files

PROMPT = "title: Terse\ntemplate: '{question}'\nmax_new_tokens: 7\n"


def contents(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return [name for name in archive.namelist() if ".dist-info/" not in name]


def test_the_wheel_has_one_top_level_name_and_each_file_once(wheel: Path) -> None:
    names = contents(wheel)
    assert {name.partition("/")[0] for name in names} == {"pixtrack"}
    assert max(Counter(names).values()) == 1
    with zipfile.ZipFile(wheel) as archive:
        times = Counter(info.CRC for info in archive.infolist() if info.file_size > 5000)
        twice = {info.filename for info in archive.infolist() if times[info.CRC] > 1}
    # The two small models share a tokenizer; nothing else is there twice.
    models = "pixtrack/configs/models"
    assert twice == {
        f"{models}/{name}/tekken.json" for name in ("pixtral-nano", "pixtral-nano-early")
    }


def test_the_wheel_holds_every_file_of_the_package_and_no_other(wheel: Path) -> None:
    folders = ("flows/", "tasks/", "configs/")
    wanted = {f"pixtrack/{name}" for name in source_files() if name.startswith(folders)}
    wanted |= {
        name
        for name in source_files()
        if name.startswith("pixtrack/") and not (REPOSITORY / name).is_symlink()
    }
    studies = (REPOSITORY / "experiments").glob("*.yaml")
    wanted |= {f"pixtrack/experiments/{study.name}" for study in studies}
    wanted |= {"pixtrack/prefect.yaml"}
    assert set(contents(wheel)) == wanted


def test_the_installed_command_says_its_version_and_nothing_of_a_repository(
    installed: Installed,
) -> None:
    # A repository around the installed files is somebody else's.
    git = ["git", "-C", str(installed.packages), "-c", "user.name=a", "-c", "user.email=a@b.c"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *command], check=True)
    assert installed.run("--version").stdout == f"pixtrack {VERSION}\n"


def test_nothing_but_the_one_name_can_be_imported(installed: Installed) -> None:
    program = (
        "import importlib.util as u, pixtrack, pixtrack.flows.cli.main;"
        "print(pixtrack.__file__, [n for n in ('flows', 'tasks', 'configs') if u.find_spec(n)])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=installed.environment(), cwd=installed.work, capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout == f"{installed.packages}/pixtrack/__init__.py []\n", done.stderr


def test_the_shipped_models_datasets_and_studies_are_found_in_an_empty_folder(
    installed: Installed,
) -> None:
    listed = json.loads(installed.run("datasets", "--json").stdout)
    names = {one["name"] for one in listed}
    assert {"sample", "docvqa_val"} <= names
    shown = json.loads(installed.run("models", "show", "pixtral-nano", "--json").stdout)
    assert shown["model"]["name"] == "pixtral-nano"
    unknown = installed.run("study", "sample_modls")
    assert unknown.returncode == 2
    assert unknown.stderr.startswith(
        "pixtrack: unknown study 'sample_modls'. Did you mean 'sample_m"
    )
    assert list(installed.work.iterdir()) == []


def test_what_a_user_adds_lies_in_the_data_home_and_the_package_stays_as_it_was(
    installed: Installed, tmp_path: Path
) -> None:
    from PIL import Image

    (tmp_path / "scans").mkdir()
    Image.new("RGB", (40, 30)).save(tmp_path / "scans" / "a.png")
    row = {"image": "a.png", "question": "What?", "answer": ["x"]}
    (tmp_path / "qa.jsonl").write_text(json.dumps(row) + "\n")
    before = installed.listing()
    added = installed.run(
        "datasets", "add", "receipts",
        "--qa-file", str(tmp_path / "qa.jsonl"), "--img-folder", str(tmp_path / "scans"),
    )  # fmt: skip
    assert added.returncode == 0, added.stderr
    written = installed.work / "data" / "configs" / "datasets" / "receipts.yaml"
    assert written.is_file() and str(written) in added.stdout
    shown = installed.run("datasets", "show", "receipts")
    assert shown.returncode == 0, shown.stderr
    own = tmp_path / "own"
    (own / "prompts").mkdir(parents=True)
    (own / "prompts" / "plain.yaml").write_text(PROMPT)
    home = str(installed.work / "data")
    shown = installed.run(
        "datasets", "show", "sample", PIXTRACK_CONFIGS=str(own), PIXTRACK_HOME=home
    )
    assert "Terse" in shown.stdout
    assert f"pixtrack: {own}/prompts/plain.yaml is used, not the shipped" in shown.stderr
    assert installed.listing() == before


def test_without_an_engine_it_is_said_in_one_line_what_is_missing(
    installed: Installed, tmp_path: Path
) -> None:
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(bare)], check=True)
    done = installed.run("eval", "-n", "2", PIXTRACK_VLLM_PYTHON=str(bare / "bin" / "python"))
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert "vLLM" in last and "PIXTRACK_VLLM_PYTHON" in last and "pixtrack[cpu]" in last
