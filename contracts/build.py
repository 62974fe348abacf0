"""Builds ``contracts/src`` into ``contracts/artifacts``: ``python -m contracts.build [--check] [NAME ...]``.

The native compiler of the pinned version is used if py-solc-x has it; otherwise npm's ``solc`` with the ``contracts/solc``
script (``npm ci`` in ``contracts``). Both give the same bytecode with the same version and settings. ``--check`` writes
nothing and fails when a committed file is not that of the sources. Without a compiler it compares the hashes of our sources,
the settings and the version, and reports that nothing was compiled; with ``CIVIC_REQUIRE=all`` a missing compiler is a
failure.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any, Final

import solcx

from contracts import code_table, messages
from contracts.artifacts import DIRECTORY

HERE: Final = Path(__file__).resolve().parent
SOURCES: Final = HERE / "src"
MODULES: Final = HERE / "node_modules"
SCRIPT: Final = HERE / "solc"

CONTRACTS: Final = ("SharingLedger", "AuditAnchor", "CostPools", "Conditions")
"""The deployed contracts, in the order of deployment."""

REHEARSED: Final = {"SecondLedger": "rehearsal/SecondLedger"}
"""Contracts that are built for tests only, with their file below ``src``. Their artifacts contain their own EIP-712 types."""

PARTS: Final = {"SharingLedger": ("Views", "Stewardship", "Governance")}
"""Parts whose functions a contract runs by delegatecall, in the order of deployment; their ABIs are added to its ABI."""

INTERFACES: Final = {
    "SharingLedger": ("IDepartments", "IOffices", "ICouncil", "IAssets", "IGrants", "IUsage", "ISigned"),
    "AuditAnchor": ("IAuditAnchor", "ISigned"),
    "CostPools": ("ICostPools", "ISigned"),
    "Conditions": ("IConditions", "ISigned"),
    "SecondLedger": ("ISuccessor", "ISigned"),
}
"""The interfaces of each contract; the build fails when its ABI lacks one of their entries."""

CODE_LIMIT: Final = 24_576
"""The most bytes of deployed code (EIP-170)."""

SETTINGS: Final[dict[str, Any]] = {
    "evmVersion": "prague",
    "viaIR": True,
    "optimizer": {"enabled": True, "runs": 1_000},
    "metadata": {"bytecodeHash": "none", "appendCBOR": False},
}
"""``evmVersion`` is pinned because the newest compiler's default is a fork that py-evm does not support. With 1,000 optimiser
runs every act uses the same gas as with 3,000 (measured)."""

Abi = list[dict[str, Any]]


class BuildError(Exception):
    """The sources do not compile, or break a rule of this build."""


class CompilerMissing(BuildError):
    """The pinned compiler, or a library that the sources import, is not installed."""


def compiler_version() -> str:
    """The pinned version of the compiler, from ``package.json``."""
    version: str = json.loads((HERE / "package.json").read_text("utf-8"))["devDependencies"]["solc"]
    return version


def read_source(name: str) -> str:
    """The text of a source: ``src/...`` from this folder, others from node_modules."""
    path = HERE / name if name.startswith("src/") else MODULES / name
    if not path.is_file():
        missing = BuildError if name.startswith("src/") else CompilerMissing
        raise missing(f"{name} is not there; run `npm ci` in {HERE.name}")
    return path.read_text("utf-8")


def contract_sources(name: str) -> dict[str, str]:
    """The sources of a contract and of its parts: name -> text, sorted."""
    return needed_sources(*(source_of(one) for one in (name, *PARTS.get(name, ()))))


def source_of(name: str) -> str:
    """The file of a contract, by its name in the compiler's input."""
    return f"src/{REHEARSED.get(name, name)}.sol"


def needed_sources(*names: str) -> dict[str, str]:
    """These files and all files that they import, directly or indirectly: name -> text, sorted."""
    found: dict[str, str] = {}
    waiting = list(names)
    while waiting:
        source = waiting.pop()
        if source in found:
            continue
        found[source] = read_source(source)
        waiting.extend(messages.imports(source, found[source]))
    return dict(sorted(found.items()))


def compile_sources(sources: dict[str, str], settings: dict[str, Any] = SETTINGS) -> dict[str, Any]:
    """Compile with the native compiler or the script; returns the compiler's standard JSON output."""
    document = {
        "language": "Solidity",
        "sources": {name: {"content": text} for name, text in sources.items()},
        "settings": {
            **settings,
            "outputSelection": {
                "*": {"*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object", "storageLayout"]}
            },
        },
    }
    version = compiler_version()
    native = version in {str(found) for found in solcx.get_installed_solc_versions()}
    if not native and (shutil.which("node") is None or not (MODULES / "solc").is_dir()):
        raise CompilerMissing(
            f"no solc {version}: install it with py-solc-x, or Node.js and `npm ci` in {HERE.name}"
        )
    chosen: dict[str, Any] = {"solc_version": version} if native else {"solc_binary": str(SCRIPT)}
    try:
        compiled: dict[str, Any] = solcx.compile_standard(document, **chosen)
    except solcx.exceptions.SolcError as error:
        raise BuildError(error.message) from error
    return compiled


def joined_abi(own: Abi, other: Abi) -> Abi:
    """The entries of both ABIs, each once. A function in both (`salt`) has the same code and runs in the first contract."""

    def key(entry: dict[str, Any]) -> str:
        return json.dumps([entry["type"], entry.get("name"), [i["type"] for i in entry.get("inputs", [])]])

    seen = {key(entry) for entry in own}
    joined = list(own)
    for entry in other:
        if entry["type"] != "constructor" and key(entry) not in seen:
            joined.append(entry)
    return joined


def missing_entries(interface: Abi, abi: Abi) -> list[str]:
    """The functions, events and errors of an interface that are missing or different in an ABI."""
    have = {json.dumps(_shape(entry), sort_keys=True) for entry in abi}
    return [entry["name"] for entry in interface if json.dumps(_shape(entry), sort_keys=True) not in have]


def _shape(entry: dict[str, Any]) -> dict[str, Any]:
    """An ABI entry without the names and kinds of its parameters, which an override may change."""

    def types(parameters: list[dict[str, Any]]) -> list[Any]:
        return [[p["type"], p.get("indexed"), types(p.get("components", []))] for p in parameters]

    return {
        "type": entry["type"],
        "name": entry.get("name"),
        "inputs": types(entry.get("inputs", [])),
        "outputs": types(entry.get("outputs", [])),
        "stateMutability": entry.get("stateMutability"),
    }


def build(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The artifact of one contract, and its part of ``eip712.json``. Raises `BuildError`."""
    interfaces = needed_sources(*(_file_of(interface) for interface in INTERFACES[name]))
    sources = dict(sorted((contract_sources(name) | interfaces).items()))
    output = compile_sources(sources)["contracts"]
    found = output[source_of(name)][name]
    abi: Abi = found["abi"]
    parts = {part: output[f"src/{part}.sol"][part] for part in PARTS.get(name, ())}
    sizes = {one: _size(built["evm"]["deployedBytecode"]) for one, built in {name: found, **parts}.items()}
    for part, built in parts.items():
        abi = joined_abi(abi, built["abi"])
        if _layout(built) != _layout(found):
            raise BuildError(f"{part} and {name} lay out their storage differently")
    for interface in INTERFACES[name]:
        promised = output[_file_of(interface)][interface]["abi"]
        if missing := missing_entries(promised, abi):
            raise BuildError(f"{name} lacks these of {interface}: {', '.join(missing)}")
    if large := {part: size for part, size in sizes.items() if size >= CODE_LIMIT}:
        raise BuildError(f"over the code limit of {CODE_LIMIT} bytes: {large}")
    artifact = {
        "name": name,
        "abi": abi,
        "bytecode": _creation_code(found),
        "parts": {part: _creation_code(built) for part, built in parts.items()},
        "deployedSize": sizes[name],
        "deployedSizes": sizes,
        "storage": {slot["label"]: int(slot["slot"]) for slot in found["storageLayout"]["storage"]},
        "compiler": {"version": compiler_version(), "settings": SETTINGS},
        "sources": {source: hashlib.sha256(text.encode()).hexdigest() for source, text in sources.items()},
    }
    return artifact, messages.describe(name, sources, abi, source_of(name))


def _file_of(interface: str) -> str:
    """The source file of an interface; small interfaces are in the file of a larger one."""
    return f"src/interfaces/{ {'ISuccessor': 'ICouncil'}.get(interface, interface) }.sol"


def _size(code: dict[str, str]) -> int:
    return len(code["object"]) // 2


def _creation_code(contract: dict[str, Any]) -> str:
    return "0x" + str(contract["evm"]["bytecode"]["object"])


def _layout(contract: dict[str, Any]) -> list[tuple[str, str, int]]:
    layout = contract["storageLayout"]["storage"]
    return [(slot["label"], slot["slot"], slot["offset"]) for slot in layout]


def _text(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def built_files(names: list[str]) -> dict[Path, str]:
    """The files of the artifact folder for these contracts: path -> text."""
    files: dict[Path, str] = {}
    described: dict[str, dict[str, Any]] = {}
    for name in names:
        artifact, described[name] = build(name)
        if name in REHEARSED:
            rehearsed = artifact | {"eip712": described.pop(name)}
            files[DIRECTORY / f"{REHEARSED[name]}.json"] = _text(rehearsed)
        else:
            files[DIRECTORY / f"{name}.json"] = _text(artifact)
    if not set(CONTRACTS) <= set(names):
        described = {**messages.committed(DIRECTORY / "eip712.json"), **described}
    files[DIRECTORY / "eip712.json"] = _text(messages.joined(described))
    return files


def differing_sources(name: str) -> list[str]:
    """The differences between a committed artifact and the sources that can be found without a compiler.

    The SHA-256 of each source in this folder, the compiler's version and its settings are compared; the libraries' sources and
    the bytecode are not.
    """
    artifact = json.loads((DIRECTORY / f"{REHEARSED.get(name, name)}.json").read_text("utf-8"))
    found = []
    if artifact["compiler"] != {"version": compiler_version(), "settings": SETTINGS}:
        found.append("the compiler's version or settings")
    for source, digest in artifact["sources"].items():
        if source.startswith("src/"):
            path = HERE / source
            if not path.is_file() or hashlib.sha256(path.read_text("utf-8").encode()).hexdigest() != digest:
                found.append(source)
    return found


def _check_without_compiler(names: list[str]) -> int:
    status = 0
    for name in names:
        for what in differing_sources(name):
            print(f"{name}.json does not belong to the sources: {what} differs", file=sys.stderr)
            status = 1
    return status


def main(arguments: list[str] | None = None) -> int:
    """The command; returns 0 when the files were written or are equal, otherwise 1."""
    known = (*CONTRACTS, *REHEARSED)
    parser = argparse.ArgumentParser(prog="python -m contracts.build", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(known)}; all by default")
    parser.add_argument(
        "--check", action="store_true", help="compare with the committed files, write nothing"
    )
    chosen = parser.parse_args(arguments)
    if unknown := set(chosen.names) - set(known):
        parser.error(f"no such contract: {', '.join(sorted(unknown))}")
    names = chosen.names or list(known)
    codes = {code_table.TARGET: code_table.table()}
    try:
        files = codes | built_files(names)
    except CompilerMissing as missing:
        if not chosen.check or os.environ.get("CIVIC_REQUIRE") == "all":
            print(missing, file=sys.stderr)
            return 1
        print(f"not compiled, only the sources' hashes were compared: {missing}", file=sys.stderr)
        return max(_check_without_compiler(names), _written_or_checked(codes, chosen.check))
    except (BuildError, messages.MessageError) as error:
        print(error, file=sys.stderr)
        return 1
    return _written_or_checked(files, chosen.check)


def _written_or_checked(files: dict[Path, str], check: bool) -> int:
    stale = [path for path, text in files.items() if not path.is_file() or path.read_text("utf-8") != text]
    for path in stale:
        if check:
            print(
                f"{path.name} does not belong to the sources; run python -m contracts.build", file=sys.stderr
            )
        else:
            path.parent.mkdir(exist_ok=True)
            path.write_text(files[path], "utf-8")
            print(f"wrote {path.name}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
