"""The version of the installed distribution: the whole package, or the client of a department (`api.sdk.packed`)."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

WHOLE, CLIENT = "civicledger", "civicledger-client"


def installed() -> tuple[str, str]:
    """Name and version of the installed distribution; ``0`` if the sources run without one."""
    for name in (WHOLE, CLIENT):
        try:
            return name, version(name)
        except PackageNotFoundError:
            continue
    return WHOLE, "0"
