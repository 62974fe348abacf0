"""The ABI encoding of a call: a message, its signatures and its arguments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eth_abi.abi import encode

from ledger.chain.abi import abi_type
from ledger.chain.calls import ActFunction, Signatures
from ledger.chain.messages import Message, MessageError, check_value


def encode_call(
    function: ActFunction, message: Message, signatures: Signatures, arguments: Mapping[str, Any]
) -> bytes:
    """The call data: selector and ABI-encoded parameters. ``message`` must be normalised.

    Raises `MessageError` when an argument is not of its type.
    """
    values: list[Any] = []
    for at, parameter in enumerate(function.inputs):
        name, kind = parameter["name"], parameter["type"]
        if at == function.message_at:
            values.append(_encodable(parameter, message, "/message"))
        elif kind == "bytes":
            values.append(b"".join(signatures[name]))
        elif kind == "bytes[]":
            values.append(list(signatures[name]))
        else:
            values.append(_encodable(parameter, arguments[name], f"/arguments/{name}"))
    return function.selector + encode([abi_type(i) for i in function.inputs], values)


def _encodable(parameter: Mapping[str, Any], value: Any, pointer: str) -> Any:
    """Check a JSON value against the parameter's type, and convert it for eth_abi."""
    kind = str(parameter["type"])
    if kind.endswith("[]"):
        if not isinstance(value, list | tuple):
            raise MessageError("a list is expected", pointer=pointer)
        inner = {**parameter, "type": kind[:-2]}
        return [_encodable(inner, item, f"{pointer}/{i}") for i, item in enumerate(value)]
    if kind == "tuple":
        names = [c["name"] for c in parameter["components"]]
        if not isinstance(value, Mapping) or set(value) != set(names):
            raise MessageError(f"an object with the members {names} is expected", pointer=pointer)
        return tuple(
            _encodable(c, value[c["name"]], f"{pointer}/{c['name']}") for c in parameter["components"]
        )
    checked = check_value(kind, value, pointer)
    if kind.startswith("bytes"):
        return bytes.fromhex(checked[2:])
    return checked
