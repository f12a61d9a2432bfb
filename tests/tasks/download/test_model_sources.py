"""Every kind of model source that a configuration may name has its row, and can do what rows do."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from pixtrack.configs.errors import UserError
from pixtrack.configs.paths import Home
from pixtrack.configs.schema import EndpointModel, GeneratedModel, LocalModel, ModelSource
from pixtrack.tasks.download import files_of, model_identity, verify_model
from pixtrack.tasks.download.model_sources import MODEL_SOURCES
from tests.doubles.model_files import model

REPO = "mistralai/Tiny"
KINDS = {kind.model_fields["kind"].default: kind for kind in get_args(get_args(ModelSource)[0])}


def test_every_kind_that_a_file_may_name_has_a_row() -> None:
    assert KINDS.keys() == MODEL_SOURCES.keys()


@pytest.mark.parametrize(
    ("source", "address", "absent"),
    [
        (None, f"https://huggingface.co/{REPO} at main", "not downloaded"),
        (LocalModel(path="/models/x"), "/models/x", "not complete"),
        (GeneratedModel(seed=7), "written locally, seed 7", "made when used"),
        (EndpointModel(base_url="http://u:p@host:1/v1?key=k"), "http://host:1/v1", "on the server"),
        (EndpointModel(base_url_env="WHERE"), "$WHERE", "on the server"),
    ],
)
def test_a_source_says_where_it_is_without_secrets(
    source: ModelSource | None, address: str, absent: str, tmp_path: Path
) -> None:
    config = model(REPO, "main")
    config = config.model_copy(update={"source": source}) if source else config
    files = files_of(config)
    assert (files.address, files.absent) == (address, absent)
    assert files.here(Home(tmp_path)) is None


def test_an_endpoint_is_identified_by_address_and_name_and_has_nothing_to_verify(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = EndpointModel(base_url_env="WHERE", served_model="big")
    config = model(REPO, "main").model_copy(update={"source": source})
    monkeypatch.delenv("WHERE", raising=False)
    assert files_of(config).availability(Home(tmp_path)).status == "failed"
    for given in ("http://host:1/v1", "http://user:pw@host:1/v1/", "http://host:1"):
        monkeypatch.setenv("WHERE", given)
        found = model_identity(config, None, Home(tmp_path))
        assert found["served_model"] == "big" and "pw" not in found["endpoint"]
        assert files_of(config).availability(Home(tmp_path)).status == "ok"
    with pytest.raises(UserError, match="no files to verify"):
        verify_model(config, Home(tmp_path))
