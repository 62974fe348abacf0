"""One file that verifies a log: ``python -m ledger.audit.verify.packed [FILE]`` writes ``civic-verify.pyz``.

It holds `ledger.audit.verify.alone` and the modules that it imports, unchanged. The same sources give the same bytes, so
the digest can be compared with a build from the sources; nothing is compressed, since compressors differ. The file runs
with Python 3.11 or newer and ``cryptography``.
"""

from __future__ import annotations

import ast
import hashlib
import sys
from collections.abc import Mapping
from io import BytesIO
from modulefinder import ModuleFinder
from pathlib import Path
from zipfile import ZipFile, ZipInfo

from languages.catalogue import PLACE, part_of_catalogue

ROOT = Path(__file__).resolve().parents[3]
CATALOGUE = f"languages/{PLACE}"
START = b"#!/usr/bin/env python3\n"
MAIN = """# coding: utf-8
import sys

if sys.version_info < (3, 11):
    sys.exit("civic-verify: Python 3.11 or newer is needed, nothing was checked; 需要 Python 3.11 或更高版本，未作核验")
try:
    import cryptography
except ImportError:
    sys.exit("civic-verify: the package cryptography is needed, nothing was checked; 需要 cryptography 软件包，未作核验")

from ledger.audit.verify.alone import main

sys.exit(main())
"""
"""The file that Python runs first. Older versions of Python must be able to parse it."""
OLDEST = (1980, 1, 1, 0, 0, 0)
"""The time of every member: the earliest that a zip file can state."""
LEFT_OUT = frozenset({"ledger.chain"})
"""Modules that are imported only when the server's packages are installed. Without them the verdict states that officers'
signatures were not checked."""


def sources() -> dict[str, bytes]:
    """The modules of this project that the verifier imports and its part of the catalogue, by their path in the file."""
    finder = ModuleFinder(path=[str(ROOT)], excludes=sorted(LEFT_OUT))
    finder.run_script(str(Path(__file__).with_name("alone.py")))
    found = (getattr(module, "__file__", None) for module in finder.modules.values())
    files = {Path(file) for file in found if file}
    for file in list(files):
        files |= {
            folder / "__init__.py" for folder in file.parents if folder != ROOT and ROOT in folder.parents
        }
    modules = {file.relative_to(ROOT).as_posix(): file.read_bytes() for file in sorted(files)}
    return modules | {CATALOGUE: catalogue_of(modules)}


def catalogue_of(modules: Mapping[str, bytes]) -> bytes:
    """The part of the catalogue that these modules need: the Chinese of their texts."""
    texts = {
        node.value
        for module in modules.values()
        for node in ast.walk(ast.parse(module))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    return part_of_catalogue((ROOT / CATALOGUE).read_text("utf-8"), frozenset(texts)).encode()


def packed() -> bytes:
    """The file's bytes."""
    buffer = BytesIO(START)
    buffer.seek(len(START))
    with ZipFile(buffer, "w") as archive:
        for name, data in [("__main__.py", MAIN.encode()), *sources().items()]:
            member = ZipInfo(name, OLDEST)
            member.create_system = 3
            member.external_attr = 0o644 << 16
            archive.writestr(member, data)
    return buffer.getvalue()


def main() -> int:
    """Write the file and print its digest."""
    place = Path(sys.argv[1] if len(sys.argv) > 1 else "civic-verify.pyz")
    data = packed()
    place.write_bytes(data)
    place.chmod(0o755)
    print(f"{place}  {len(data)} bytes  sha256 {hashlib.sha256(data).hexdigest()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
