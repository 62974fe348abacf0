"""The canonical types of an ABI, from which selectors and topics are computed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def abi_type(parameter: Mapping[str, Any]) -> str:
    """The canonical type of an ABI parameter, such as ``(uint24,bytes32)[]`` for a list of tuples."""
    kind = str(parameter["type"])
    if not kind.startswith("tuple"):
        return kind
    return f"({','.join(abi_type(c) for c in parameter['components'])}){kind.removeprefix('tuple')}"
