"""Types of an ABI, as its selectors and topics spell them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def abi_type(parameter: Mapping[str, Any]) -> str:
    """The canonical type of an ABI parameter; tuples written out."""
    kind = str(parameter["type"])
    if not kind.startswith("tuple"):
        return kind
    return f"({','.join(abi_type(c) for c in parameter['components'])}){kind.removeprefix('tuple')}"
