"""The verifier as a separate program that needs only Python's standard library and ``cryptography``.

``python -m ledger.audit.verify.packed`` packs it into one file, ``civic-verify.pyz``. It runs the checks of ``civic audit
verify`` and ``civic audit receipt verify`` with the same code. Checks that need further packages are reported as not made:
whether anchors are in blocks of the chain, and the signatures of officers.

The exit codes are those of the command: 0 verified or self-consistent; 1 failed, or nothing could be checked (an error with a
code); 2 wrong arguments; 3 verified in part.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from languages.choice import Language, wished_language
from languages.texts import N_, translated
from ledger.audit.formats.errors import AuditError
from ledger.audit.verify.check import compare_bundles, verify_bundle
from ledger.audit.verify.receipts import is_receipt, verify_receipt
from ledger.audit.verify.tiles import has_tiles, verify_directory
from ledger.audit.verify.trust import Trust
from ledger.audit.verify.words import document, whole_lines
from ledger.small_files import read_text
from ledger.visible import json_line, visible

FAILED, USAGE, IN_PART = 1, 2, 3

_TEXTS: dict[str, str] = {
    "about": N_("Check an audit log or a receipt offline."),
    "usage": N_("usage"),
    "arguments": N_("arguments"),
    "path": N_("a bundle (.tar or a directory), a directory of tiles, or a receipt"),
    "trust": N_("trust file from a second source; without it the verdict is 'self-consistent only'"),
    "older": N_("an earlier bundle: the later one has to extend it"),
    "json": N_("print one JSON object"),
    "lang": N_("en or zh (or CIVIC_LANG)"),
    "help": N_("show this help"),
    "not-understood": N_("the command line is wrong"),
    "missing": N_("there is nothing at"),
    "older-of-bundles": N_("--older compares two bundles"),
    "audit.trust": N_("the trust file cannot be used"),
    "file.unusable": N_("a file cannot be used"),
    "internal": N_("this is a defect of the verifier, nothing was checked"),
}


class _Stop(Exception):
    """Stops before anything was checked. ``text`` is a key of `_TEXTS`, ``detail`` the message of the cause."""

    def __init__(self, code: str, text: str, detail: str) -> None:
        super().__init__(code)
        self.code, self.text, self.detail = code, text, detail


class _Parser(argparse.ArgumentParser):
    heading = ""

    def format_help(self) -> str:
        return super().format_help().replace("usage", self.heading, 1)

    def error(self, message: str) -> NoReturn:
        raise _Stop("usage", "not-understood", message)


def main(arguments: Sequence[str] | None = None) -> int:
    """Check the bundle or receipt that the arguments name and print the verdict. Returns the exit code."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # characters outside its encoding are escaped
            stream.reconfigure(errors="backslashreplace")
    language = wished_language(given, os.environ)
    try:
        code, shown = _checked(given, language)
        print("\n".join(shown), flush=True)
    except BrokenPipeError:  # the reader closed the pipe: prevent a second error when the interpreter flushes
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except _Stop as stop:
        return _refused(stop, given, language)
    except AuditError as unusable:
        return _refused(_Stop(unusable.code, "audit.trust", unusable.message), given, language)
    except OSError as error:
        return _refused(_Stop("file.unusable", "file.unusable", str(error)), given, language)
    except Exception as error:  # noqa: BLE001 - the only place that reports a defect: it is an error, not a verdict
        return _refused(_Stop("internal", "internal", f"{type(error).__name__}: {error}"), given, language)
    return code


def _checked(given: Sequence[str], language: Language) -> tuple[int, list[str]]:
    """Returns the exit code and the lines to print."""
    options = _read(given, language)
    for path in filter(None, (options.path, options.older)):
        if not path.exists():
            raise _Stop("usage", "missing", str(path))
    trust = None if options.trust is None else Trust.load(options.trust)
    receipt = is_receipt(options.path)
    if options.older and (receipt or has_tiles(options.path)):
        raise _Stop("usage", "older-of-bundles", str(options.path))
    if receipt:
        about = verify_receipt(_text(options.path), trust)
        result, lines, code = document(about), about.lines(language), 0 if about.ok else FAILED
    else:
        if options.older:
            verdict = compare_bundles(options.older, options.path, trust)
        elif has_tiles(options.path):
            verdict = verify_directory(options.path, trust)
        else:
            verdict = verify_bundle(options.path, trust)
        result, lines = document(verdict), whole_lines(verdict, language)
        code = 0 if verdict.whole else IN_PART if verdict.ok else FAILED
    return code, [json_line(result)] if options.json else lines


def _read(given: Sequence[str], language: Language) -> argparse.Namespace:
    text = {name: translated(words, language) for name, words in _TEXTS.items()}
    parser = _Parser(
        prog="civic-verify",
        description=text["about"],
        usage="%(prog)s PATH [--trust FILE] [--older BUNDLE] [--json] [--lang zh]",
        add_help=False,
        allow_abbrev=False,
    )
    parser.heading = text["usage"]
    group = parser.add_argument_group(text["arguments"])
    group.add_argument("path", metavar="PATH", type=Path, help=text["path"])
    group.add_argument("--trust", metavar="FILE", type=Path, help=text["trust"])
    group.add_argument("--older", metavar="BUNDLE", type=Path, help=text["older"])
    group.add_argument("--json", action="store_true", help=text["json"])
    group.add_argument("--lang", metavar="zh", help=text["lang"])
    group.add_argument("-h", "--help", action="help", help=text["help"])
    return parser.parse_args(given)


def _refused(stop: _Stop, given: Sequence[str], language: Language) -> int:
    """Print why nothing was checked; returns the exit code."""
    message = translated(
        "{problem}: {detail}", language, problem=translated(_TEXTS[stop.text], language), detail=stop.detail
    )
    if "--json" in given:
        print(json_line({"error": {"code": stop.code, "message": message}}))
    else:
        print(f"{visible(message)} [{stop.code}]", file=sys.stderr)
    return USAGE if stop.code == "usage" else FAILED


def _text(path: Path) -> str:
    """The text of a receipt; empty when the file is not UTF-8."""
    try:
        return read_text(path)
    except UnicodeDecodeError:
        return ""


if __name__ == "__main__":
    sys.exit(main())
