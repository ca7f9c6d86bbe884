"""Addresses: what SQLAlchemy reads otherwise than it was meant is known, and no part of a login is ever shown."""

from itertools import product
from urllib.parse import quote

import pytest
from sqlalchemy import make_url

from offbeat.readings.sql_address import has_plain_login, shown

HOST = "host:5432/plant"


@pytest.mark.parametrize(
    ("user", "password"), [*product(["ann", "a@b", "a/b", "a?b"], ["pw", "p@w", "p/w", "p?w", "p:w", "p@w@"])]
)
def test_a_login_is_plain_exactly_when_it_is_read_as_it_was_meant(user, password):
    assert has_plain_login(f"postgresql://{quote(user, safe='')}:{quote(password, safe='')}@{HOST}")
    address = f"postgresql://{user}:{password}@{HOST}"
    try:
        url = make_url(address)
    except ValueError:
        assert not has_plain_login(address)
        return
    as_meant = (url.username, url.password, url.host, url.database) == (user, password, "host", "plant")
    assert has_plain_login(address) == as_meant
    if as_meant:
        assert shown(url) == f"postgresql://{HOST}"


@pytest.mark.parametrize("address", [f"postgresql://{HOST}", "postgresql:///plant", "sqlite:////a@b/c:d@e.db"])
def test_an_address_without_a_login_is_plain_and_shown_as_it_is(address):
    assert has_plain_login(address)
    assert shown(make_url(address)) == address
