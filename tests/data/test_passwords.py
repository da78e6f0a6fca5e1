from __future__ import annotations

import pytest

from data.passwords import has_password, masked, without_password


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("http://me:secret@server:5000", "http://me:***@server:5000"),
        ("https://:secret@server", "https://:***@server"),
        ("https://secret@server/mlflow", "https://***@server/mlflow"),
        ("postgresql+psycopg://me:se/c:r@et@server:5432/runs", "postgresql+psycopg://me:***@server:5432/runs"),
        ("postgresql://server/runs?user=me&password=secret&x=1", "postgresql://server/runs?user=me&password=***&x=1"),
        ("http://server/?access_token=secret", "http://server/?access_token=***"),
        ("no answer from http://me:secret@server/api, tried 2 times", "no answer from http://me:***@server/api, "
         "tried 2 times"),
    ],
)  # fmt: skip
def test_password_of_an_address_is_masked(address: str, shown: str) -> None:
    assert without_password(address) == shown
    assert has_password(address)
    assert not has_password(shown) or without_password(shown) == shown


@pytest.mark.parametrize(
    "address",
    ["http://server:5000", "sqlite:////home/me/runs/mlflow.db", "postgresql://me@server/runs", "127.0.0.1:6379", ""],
)
def test_address_without_a_password_stays_what_it_is(address: str) -> None:
    assert without_password(address) == address
    assert not has_password(address)


def test_no_address_has_no_password() -> None:
    assert not has_password(None)


def test_every_text_of_a_value_is_masked() -> None:
    value = {"uri": "http://me:secret@server", "list": [1, None, {"again": "http://me:secret@server"}], "rate": 0.5}
    shown = "http://me:***@server"
    assert masked(value) == {"uri": shown, "list": [1, None, {"again": shown}], "rate": 0.5}
