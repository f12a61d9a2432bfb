from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from pixtrack.configs.paths import Home
from pixtrack.tasks.sqlite_address import sqlite_address
from pixtrack.tasks.tracking import TrackingUnavailable, check_store, tracking_uri
from pixtrack.tasks.tracking.connection import client, reported
from tests.doubles.patience import at_most


def test_the_default_store_lies_in_the_data_home(home: Home) -> None:
    assert tracking_uri() == f"sqlite:///{home.root}/mlflow.db"
    assert check_store() == tracking_uri()
    assert home.mlflow_db.exists()


def test_the_environment_names_another_store(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, home: Home
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/other/runs.db")
    assert check_store() == f"sqlite:///{tmp_path}/other/runs.db"
    assert (tmp_path / "other" / "runs.db").exists()


def test_a_server_that_is_away_is_reported_at_once_with_the_local_store_offered(
    home: Home,
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(TrackingUnavailable) as caught:
        check_store(f"http://127.0.0.1:{port}")
    message = str(caught.value)
    assert "\n" not in message and "cannot be reached" in message
    assert f"sqlite:///{home.root}/mlflow.db" in message and "MLFLOW_TRACKING_URI" in message


def test_a_server_that_never_answers_is_not_waited_for(home: Home) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with (
            at_most(),
            pytest.raises(TrackingUnavailable, match="did not answer within 3 s"),
        ):
            check_store(f"http://127.0.0.1:{silent.getsockname()[1]}")


def test_a_password_in_the_address_is_not_printed(home: Home) -> None:
    with pytest.raises(TrackingUnavailable) as caught:
        check_store("http://me:secret@127.0.0.1:9")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("htp://server:5000", "has no scheme that MLflow knows (databricks, http, https,"),
        ("http://[bad", "cannot be reached ("),
        ("sqlite://", "names no file"),
        ("sqlite:///{file}/below/mlflow.db", "cannot be made ({file}/below: Not a directory)"),
        ("sqlite:///{folder}", "is a folder, not a database's file"),
        ("{folder}/mlruns", "is a folder, and MLflow keeps runs in a database or a server"),
        ("file://{folder}", "is a folder, and MLflow keeps runs in a database or a server"),
        ("postgresql+nodriver://me:secret@127.0.0.1:9/runs", "cannot be used: "),
        ("postgresql://me:secret@127.0.0.1:9/runs", "me:***@127.0.0.1:9/runs "),
    ],
)
def test_an_address_that_cannot_work_is_one_line_with_the_remedy(
    uri: str, said: str, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    places = {"file": tmp_path / "file", "folder": tmp_path}
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri.format(**places))
    with pytest.raises(TrackingUnavailable) as caught:
        check_store()
    message = str(caught.value)
    assert said.format(**places) in message and "\n" not in message and "secret" not in message
    remedy = f"unset that variable to log to the local store (sqlite:///{home.root}/mlflow.db)"
    assert "correct MLFLOW_TRACKING_URI" in message and message.endswith(remedy)


def test_a_database_that_cannot_be_written_is_named(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = tmp_path / "elsewhere" / "mlflow.db"
    check_store(f"sqlite:///{database}")
    monkeypatch.setattr("os.access", lambda path, mode: path != database)
    with pytest.raises(TrackingUnavailable, match=r"mlflow\.db is not writable\): correct MLFLOW_"):
        check_store(f"sqlite:///{database}")


def test_a_home_that_cannot_hold_a_store_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PIXTRACK_HOME", str(tmp_path / "file" / "home"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(TrackingUnavailable, match="PIXTRACK_HOME"):
        check_store()


def test_a_database_that_is_none_is_one_line(home: Home, tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("this is not a database, and long enough to be read as one")
    with pytest.raises(TrackingUnavailable, match=r"cannot be used") as caught:
        check_store(f"sqlite:///{tmp_path}/mlflow.db")
    assert "\n" not in str(caught.value)
    # The same where nobody asked first: a run's log must never cost the run.
    with pytest.raises(TrackingUnavailable), reported("sqlite:///x", "did not take the run"):
        client(f"sqlite:///{tmp_path}/mlflow.db")


def test_nothing_is_written_beside_a_home_of_any_name(tmp_path: Path) -> None:
    """MLflow makes a folder by the address as it is quoted."""
    database = tmp_path / "what? 100% #1" / "of %3F" / "mlflow.db"
    assert check_store(sqlite_address(database))
    assert database.is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["what? 100% #1"]
    assert [path.name for path in (tmp_path / "what? 100% #1").iterdir()] == ["of %3F"]


def test_our_own_mistakes_are_not_called_the_stores() -> None:
    with pytest.raises(KeyError), reported("sqlite:///x", "cannot be used"):
        raise KeyError("ours")


def test_processes_that_make_one_database_at_the_same_time_do_not_trip(tmp_path: Path) -> None:
    program = (
        "import sys; from pixtrack.tasks.tracking import check_store; "
        f"check_store('sqlite:///{tmp_path}/mlflow.db')"
    )
    both = [
        subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE) for _ in range(2)
    ]
    for process in both:
        _, told = process.communicate(timeout=240)
        assert process.returncode == 0, told.decode()[-500:]
        assert b"Creating initial" not in told


def test_importing_tracking_does_not_import_mlflow() -> None:
    program = "import sys, pixtrack.tasks.tracking; sys.exit('mlflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
