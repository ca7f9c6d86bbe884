"""Addresses of databases: which can be read in one way only, and what messages show of them.

A password that holds an @ which is not written as %40 ends too early, and its rest would be shown as a host.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import URL


def has_plain_login(text: str) -> bool:
    """Return whether nothing but user and password stands before the last @ of an address.

    Files of SQLite have no login, and any letters in their names.
    """
    before, at, _ = text.partition("://")[2].rpartition("@")
    user, _, password = before.partition(":")
    return text.startswith("sqlite") or not at or ("/" not in user and "@" not in password)


def without_login(message: str, url: URL) -> str:
    """Return what a database says, without password and options of an address, nor its user where that is quoted."""
    for secret in (url.password, *url.query.values()):
        message = message.replace(str(secret), "***") if secret else message
    return message.replace(f'"{url.username}"', '"***"') if url.username else message


def shown(url: URL) -> str:
    """Return driver, host, port and database of an address, without user, password and options."""
    host = f"[{url.host}]" if url.host and ":" in url.host else url.host or ""
    port = f":{url.port}" if url.port else ""
    return f"{url.drivername}://{host}{port}/{url.database or ''}"
