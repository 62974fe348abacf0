"""The EIP-712 types, read from the type strings in the Solidity and checked against the structs of the ABI.

The type string that a contract hashes is the only definition; ``artifacts/eip712.json`` is generated from it for clients.
"""

from __future__ import annotations

import json
import posixpath
import re
from pathlib import Path
from typing import Any, Final

Fields = list[dict[str, str]]

DOMAIN: Final = "EIP712Domain"

_IMPORT = re.compile(r'^import\s+[^;]*?"([^"]+)"\s*;', re.MULTILINE)
_HASHED = re.compile(r'keccak256\(\s*((?:"[^"]*"\s*)+)\)')
_STRUCT = re.compile(r"([A-Za-z_]\w*)\(([^()]*)\)")
_NAME = re.compile(r'SaltedDomain\(\s*(\w+|"[^"]+"),\s*(\w+|"[^"]+")')
_CONSTANT = re.compile(r'^string constant (\w+) = "([^"]*)";', re.MULTILINE)


class MessageError(Exception):
    """A type string differs from the struct of the same name, or one name has two definitions."""


def imports(source: str, text: str) -> list[str]:
    """The files that a source imports, by their names in the compiler's input."""
    found = _IMPORT.findall(text)
    return [
        posixpath.normpath(posixpath.join(posixpath.dirname(source), f)) if f[0] == "." else f for f in found
    ]


def describe(name: str, sources: dict[str, str], abi: list[dict[str, Any]], main: str) -> dict[str, Any]:
    """The domain of a contract, its messages (the outermost types) and all types in them; ``main`` is its file."""
    types: dict[str, Fields] = {}
    messages: set[str] = set()
    nested: set[str] = set()
    for source, text in sources.items():
        if not source.startswith("src/") or source.startswith("src/interfaces/"):
            continue
        for literal in _HASHED.findall(text):
            string = "".join(re.findall(r'"([^"]*)"', literal))
            parts = _STRUCT.findall(string)
            if "".join(f"{struct}({members})" for struct, members in parts) != string:
                continue
            messages.add(parts[0][0])
            for struct, members in parts:
                _add(types, struct, _fields(members))
                nested.update(field["type"].removesuffix("[]") for field in types[struct])
            if [struct for struct, _ in parts[1:]] != sorted(struct for struct, _ in parts[1:]):
                raise MessageError(f"{parts[0][0]}: EIP-712 wants the referenced types in alphabetical order")
    _check_against_abi(name, types, abi)
    found = _NAME.search(sources[main])
    if found is None:
        raise MessageError(f"{name} does not say its domain")
    constants = {constant: value for text in sources.values() for constant, value in _CONSTANT.findall(text)}
    domain, version = (part.strip('"') if part[0] == '"' else constants[part] for part in found.groups())
    # A type inside another one (Terms in GrantBatch) is also a message when the contract computes a digest of it.
    alone = {"Terms"}
    return {
        "domain": {"name": domain, "version": version},
        "messages": sorted((messages - nested - {DOMAIN}) | (messages & alone)),
        "types": dict(sorted(types.items())),
    }


def joined(described: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The document ``eip712.json`` of several contracts."""
    types: dict[str, Fields] = {}
    for one in described.values():
        for struct, fields in one["types"].items():
            _add(types, struct, fields)
    order = sorted(described)
    return {
        "domains": {name: described[name]["domain"] for name in order},
        "messages": {name: described[name]["messages"] for name in order},
        "types": dict(sorted(types.items())),
    }


def committed(path: Path) -> dict[str, dict[str, Any]]:
    """The parts of an existing document, by contract."""
    if not path.is_file():
        return {}
    document = json.loads(path.read_text("utf-8"))
    return {
        name: {
            "domain": document["domains"][name],
            "messages": document["messages"][name],
            "types": {
                t: document["types"][t] for t in _closure(document["messages"][name], document["types"])
            },
        }
        for name in document["domains"]
    }


def _closure(names: list[str], types: dict[str, Fields]) -> set[str]:
    reached = {DOMAIN}
    waiting = list(names)
    while waiting:
        struct = waiting.pop()
        if struct in types and struct not in reached:
            reached.add(struct)
            waiting.extend(field["type"].removesuffix("[]") for field in types[struct])
    return reached


def _fields(members: str) -> Fields:
    pairs = [member.split(" ") for member in members.split(",")]
    return [{"name": name, "type": kind} for kind, name in pairs]


def _add(types: dict[str, Fields], struct: str, fields: Fields) -> None:
    if types.setdefault(struct, fields) != fields:
        raise MessageError(f"the type {struct} is written in two ways")


def _check_against_abi(name: str, types: dict[str, Fields], abi: list[dict[str, Any]]) -> None:
    structs: dict[str, Fields] = {}

    def visit(parameter: dict[str, Any]) -> None:
        if "components" not in parameter:
            return
        struct = parameter["internalType"].removeprefix("struct ").split(".")[-1].removesuffix("[]")
        structs[struct] = [{"name": c["name"], "type": _kind(c)} for c in parameter["components"]]
        for component in parameter["components"]:
            visit(component)

    for entry in abi:
        for parameter in entry.get("inputs", []):
            visit(parameter)
    for struct, fields in types.items():
        if struct == DOMAIN:
            continue
        if struct not in structs:
            raise MessageError(f"{name}: no function takes the message {struct}")
        if structs[struct] != fields:
            raise MessageError(
                f"{name}: the type string of {struct} is not its struct: {fields} / {structs[struct]}"
            )


def _kind(component: dict[str, Any]) -> str:
    """The EIP-712 type of an ABI component."""
    if not component["type"].startswith("tuple"):
        kind: str = component["type"]
        return kind
    struct: str = component["internalType"].removeprefix("struct ").split(".")[-1].removesuffix("[]")
    dimensions: str = component["type"].removeprefix("tuple")
    return struct + dimensions
