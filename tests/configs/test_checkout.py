"""A run records the commit of pixtrack's own checkout, and of no other repository."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

import pixtrack
from pixtrack.configs import checkout
from pixtrack.configs.checkout import git_commit, version_line


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with one commit and a folder in it."""
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "file.py").write_text("1\n")
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b.c"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *command], check=True)
    return tmp_path


def test_the_checkout_that_runs_is_recorded_and_whether_it_is_changed(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkout, "CHECKOUT", repository)
    commit = git_commit()
    assert len(commit) == 40
    (repository / "inside" / "file.py").write_text("2\n")
    assert git_commit() == f"{commit}+changes"


def test_an_installed_package_has_no_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkout, "CHECKOUT", None)
    assert git_commit() == ""


def test_a_repository_around_the_files_is_somebody_elses(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkout, "CHECKOUT", repository / "inside")
    assert git_commit() == ""
    monkeypatch.setattr(checkout, "CHECKOUT", tmp_path / "absent")
    assert git_commit() == ""


def test_the_repository_of_a_git_hook_is_not_taken_for_it(
    repository: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(repository / ".git"))
    monkeypatch.setattr(checkout, "CHECKOUT", tmp_path_factory.mktemp("no_repository"))
    assert git_commit() == ""


def test_the_version_names_the_commit_of_a_checkout_alone(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkout, "CHECKOUT", repository)
    commit = git_commit()
    assert version_line() == f"pixtrack {pixtrack.__version__} (checkout at {commit[:12]})"
    (repository / "inside" / "file.py").write_text("2\n")
    assert version_line().endswith(f"{commit[:12]}+changes)")
    monkeypatch.setattr(checkout, "CHECKOUT", None)
    assert version_line() == f"pixtrack {pixtrack.__version__}"
