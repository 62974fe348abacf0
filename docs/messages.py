"""Brings the catalogue of texts up to date: ``python -m docs.messages [--check]``.

Collects the English texts from the source and updates the catalogue (``languages/locale``): new texts are added
without Chinese, and unused texts are removed. ``--check`` writes nothing and fails when the catalogue is stale,
when a Chinese text is missing, has other values than the English one, or has a Latin word that is no name
(`NAMES`), and when Chinese is in the code or a text gets other values than it names.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from io import BytesIO
from itertools import product
from pathlib import Path
from string import Formatter

from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po, write_po

from languages.catalogue import PLACE

ROOT = Path(__file__).resolve().parents[1]
CATALOGUE = ROOT / "languages" / PLACE
PACKAGES = ("languages", "access_policy", "ledger", "api")
HEAD = """# The Chinese of every text that a person reads.
# Texts are collected by `python -m docs.messages`; write the Chinese here.
#"""

TEXTS: Mapping[str, tuple[int, ...]] = {
    "N_": (0,),
    "say": (0,),
    "translated": (0,),
    "in_both": (0,),
    "command": (2,),
    "governing": (2,),
    "Advice": (1, 2),
    "_A": (1, 2),
    "tell": (0,),
    "chapter": (0,),
    "permitted": (0,),
    "check": (2,),
}
"""The functions that are given texts, and where these stand among what they are given."""
SAID_AT_ONCE = {
    name: TEXTS[name] for name in ("say", "translated", "in_both", "tell", "chapter", "permitted", "check")
}
"""Those that are given the values with the text."""
IN_CONTEXT = ("NP_", "in_context")

NAMES = re.compile(
    r"\{[^{}]*\}"  # values
    r"|`[^`]+`|“[a-z]+”"  # members of documents
    r"|(?<![a-z-])--[a-z-]+|CIVIC_[A-Z_]+(?:=1)?"  # options and variables
    r"|(?:civic|make)(?: -?-?[a-z-]+)*"  # commands
    r"|\b(?:FILE|KEY|DIR|NAME|ROLE|NUMBER|ADDRESS)\b|https?(?:\(s\))?|@[a-z-]+|docs/[a-z.]+|\b(?:state|keys)/|0x"
    r"|\bPT?\d+[DH]\b|\d+[dh]\b|\d{4}-\d\d-\d\d(?:T[\d:+]+Z?)?|\bYYYY-MM-DD\b|\bZ\b"  # times
    r"|\b(?:Civic Ledger|Asia/Shanghai|Ctrl-C|Excel|GiB|MiB|KiB|DPV(?: 2\.3)?|PM2\.5|µg/m³|RFC \d+|URL)\b"
    r"|\b(?:ASCII|UTF-8|UTF-16|utf-16-le|GB18030|SHA-256|Ed25519|EVM|HTTP|TOML|JSON-LD|JSON-RPC|JSON|NDJSON|ODRL)\b"
    r"|\b(?:Arrow|CSV|csv|Parquet|parquet|xlsx|tar\.gz|tar|tiles|tlog-proof)\b"
    r"|\bContent-Digest|sha-256(?:=:BASE64:)?|\b(?:content-digest|Idempotency-Key|idempotency-key|Accept|accept|Signature-Input|Signature|expires|Host|keyid|nonce|created)\b"
    r"|\b(?:AUDITOR|READER|Reclassify|RevokeBatch|NewEpoch)\b"  # roles and types of acts
    r"|\b(?:assigner|assignee|pointer|termsHash|next|entry|normalise|witness_minutes|usage|fsck\.projection)\b"
    # what options take
    r"|\b(?:en|zh|any|none|desc|NA|WHO|steward|admin|officer|council|recovery|reader|attest|requester|provider|holder|bureau|erase|audit\.city\.example)\b"
    r"|\b(?:comma|semicolon|tab|pipe|integer|decimal|date|string|dept:9|dpv:[A-Za-z]+)\b"
    r"|\b(?:identifier|quasi-identifier|sensitive|plain|pseudonym|mask:0:4|truncate:month|band:10|round:5|clamp:18:90|ladder)\b"
    r"|\b(?:delete|report|assess|attribute)\b"
)
"""What stays Latin in a Chinese text: whatever a reader has to type or will find in a file."""
CHINESE = re.compile("[\u3001-\u303f\u4e00-\u9fff\uff00-\uffef]")
DATA = (
    "access_policy/terms/templates.py",
    "api/cli/column_signs.py",
    "api/demo/participants.py",
    "api/demo/datasets.py",
    "ledger/audit/verify/packed.py",
    "ledger/visible.py",
)
"""Modules with Chinese texts that are not messages: citations that are stored in signed terms, recognised names of columns and
persons, names in the demo, texts before the first import, invisible characters."""

Message = tuple[str | None, str]
"""Context and English text."""


@cache
def messages() -> dict[Message, list[str]]:
    """Every text of the source, with the files that use it."""
    found: dict[Message, list[str]] = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            for message in messages_of(path.read_text("utf-8")):
                if name not in found.setdefault(message, []):
                    found[message].append(name)
    return found


def messages_of(source: str) -> Iterator[Message]:
    """The texts of one module, in their order."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    for call in sorted(calls, key=lambda node: (node.lineno, node.col_offset)):
        name = getattr(call.func, "id", getattr(call.func, "attr", ""))
        if name in IN_CONTEXT and len(call.args) == 2:
            yield from product(_literals(call.args[0]), _literals(call.args[1]))
        for place in TEXTS.get(name, ()):
            if place < len(call.args):
                yield from ((None, text) for text in _literals(call.args[place]) if text)


def _literals(node: ast.expr) -> Iterator[str]:
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.IfExp(body=one, orelse=other):
            yield from (*_literals(one), *_literals(other))


def read() -> Catalog:
    """The present catalogue."""
    return read_po(BytesIO(CATALOGUE.read_bytes()), locale="zh_CN")


def brought_up_to_date(old: Catalog) -> bytes:
    """The catalogue with the texts of the source, each with its Chinese."""
    new = Catalog(locale="zh_CN", header_comment=HEAD, fuzzy=False)
    for (context, text), places in messages().items():
        known = old.get(text, context)
        new.add(text, known.string if known else "", [(place, 0) for place in places], context=context)
    buffer = BytesIO()
    write_po(buffer, new, width=0, include_lineno=False, omit_header=True, sort_by_file=True)
    head = (
        f'{HEAD}\nmsgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=utf-8\\n"\n"Language: zh_CN\\n"\n\n'
    )
    return head.encode() + buffer.getvalue()


def values_of(text: str) -> set[str | None]:
    """The names of the values in a text."""
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


def faults(catalogue: Catalog) -> Iterator[str]:
    """The faults of the Chinese texts of a catalogue."""
    for message in catalogue:
        if not message.id:
            continue
        where = f"{message.locations[0][0] if message.locations else '?'}: {message.id!r}"
        if not message.string:
            yield f"{where} has no Chinese"
        elif message.fuzzy:
            yield f"{where} is marked as fuzzy"
        elif _has_values(message.id) and values_of(message.id) != values_of(message.string):
            yield f"{where} has other values in Chinese: {message.string!r}"
        elif re.search("[A-Za-z]", rest := NAMES.sub("", message.string)):
            yield f"{where} has Latin words in Chinese: {' '.join(re.findall('[A-Za-z][A-Za-z._-]*', rest))} in {message.string!r}"


def in_the_code() -> Iterator[str]:
    """The faults in the code: Chinese that belongs into the catalogue, and values that do not fit their text."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            yield from (
                f"{name}:{line}: other values than the text names: {text!r}"
                for line, text in misgiven(path.read_text("utf-8"))
            )
            if name not in DATA:
                yield from (
                    f"{name}:{line}: Chinese in the code: {text!r}"
                    for line, text in chinese_of(path.read_text("utf-8"))
                )


def misgiven(source: str) -> Iterator[tuple[int, str]]:
    """The calls that give a text other values than it names, with their lines."""
    for call in (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)):
        given = {one.arg for one in call.keywords}
        name = getattr(call.func, "id", getattr(call.func, "attr", ""))
        for place in SAID_AT_ONCE.get(name, ()):
            for text in _literals(call.args[place]) if place < len(call.args) else ():
                if (_has_values(text) or given) and values_of(text) != given and None not in given:
                    yield call.lineno, text


def chinese_of(source: str) -> Iterator[tuple[int, str]]:
    """The Chinese texts of a module, docstrings aside, with their lines."""
    tree = ast.parse(source)
    documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=str(text)) if id(node) not in documentation and CHINESE.search(text):
                yield node.lineno, text


def _has_values(text: str) -> bool:
    """Whether a text names values. A text without values may contain braces."""
    return re.search(r"\{[a-z_0-9]+(![rs])?(:[^{}]*)?\}", text) is not None


def differing(catalogue: Catalog) -> list[str]:
    """The texts of the code that are not in the catalogue, and the reverse. The files do not matter."""
    said, known = set(messages()), {(one.context, str(one.id)) for one in catalogue if one.id}
    new, old = sorted(text for _, text in said - known), sorted(text for _, text in known - said)
    return [*(f"not there: {text!r}" for text in new), *(f"nobody says: {text!r}" for text in old)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Bring the catalogue up to date, or check it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when something is wrong")
    old = read()
    if not parser.parse_args(arguments).check:
        CATALOGUE.write_bytes(brought_up_to_date(old))
        old = read()
    elif other := differing(old):
        print(f"{PLACE} is stale, run python -m docs.messages:", *other, sep="\n", file=sys.stderr)
        return 1
    found = [*faults(old), *in_the_code()]
    print(*found, sep="\n", end="\n" if found else "", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
