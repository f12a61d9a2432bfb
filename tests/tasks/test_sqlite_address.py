"""A database lies where it is said to, whatever its folder is called."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy

from pixtrack.tasks.sqlite_address import sqlite_address, sqlite_file

NAMES = ["plain", "two words", "what?", "100%", "50%20off", "a#b", "?x=1&y=2", "é", "a:b@c", "%3F"]


@pytest.mark.parametrize("name", NAMES)
def test_the_database_is_made_in_its_folder(tmp_path: Path, name: str) -> None:
    file = tmp_path / name / "mlflow.db"
    file.parent.mkdir()
    address = sqlite_address(file)
    assert sqlite_file(address) == file
    engine = sqlalchemy.create_engine(address)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("create table t (x int)"))
    engine.dispose()
    assert file.is_file() and [path.name for path in tmp_path.iterdir()] == [name]
