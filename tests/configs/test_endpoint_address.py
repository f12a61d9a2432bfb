"""One address, one form; what is secret in it is not shown."""

from __future__ import annotations

import pytest

from pixtrack.configs.endpoint_address import parse_address, shown_address
from pixtrack.configs.errors import UserError
from pixtrack.configs.schema import EndpointModel


@pytest.mark.parametrize(
    "written",
    [
        "http://host/v1",
        "http://host",
        "http://host/",
        " http://host/v1/ ",
        "HTTP://Host//v1",
        "http://host:80/v1",
        "http://user:pw@host/v1?key=1#top",
    ],
)
def test_one_endpoint_has_one_address_however_it_is_written(written: str) -> None:
    assert shown_address(written) == "http://host/v1"


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("https://host:443/api", "https://host/api/v1"),
        ("https://host:80", "https://host:80/v1"),
        ("https://host/v1beta/openai/", "https://host/v1beta/openai"),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1"),
    ],
)
def test_what_tells_endpoints_apart_stays(written: str, shown: str) -> None:
    assert shown_address(written) == shown


def test_user_password_and_query_are_kept_for_the_requests_alone() -> None:
    address = parse_address("http://an%40nie:s3cr%2Ft@host?key=a+b&key=c")
    assert (address.user, address.password) == ("an@nie", "s3cr/t")
    assert address.query == (("key", "a b"), ("key", "c"))
    assert repr(address) == "EndpointAddress(url='http://host/v1', version_given=False)"


@pytest.mark.parametrize(
    "wrong", ["user:s3cret@host:8000", "ftp://user:s3cret@host", "http://u:s3cret@host:x?a=s3cret"]
)
def test_a_wrong_address_is_refused_without_its_password(wrong: str) -> None:
    with pytest.raises(UserError, match=r"host.* is no address of an endpoint") as refused:
        parse_address(wrong)
    assert "s3cret" not in str(refused.value) + shown_address(wrong)


def test_a_configuration_is_written_and_shown_without_the_secrets_of_its_address() -> None:
    source = EndpointModel(base_url="http://user:s3cret@host/v1?key=s3cret")
    assert source.model_dump()["base_url"] == "http://host/v1"
    assert "s3cret" not in f"{source!r} {source.model_dump_json()}"
    assert "s3cret" in source.base_url
