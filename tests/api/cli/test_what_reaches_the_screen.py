"""Text of any origin is shown on the screen and cannot control it."""

from __future__ import annotations

import io
import json
import logging
import os
import pty
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from api.cli.failures import Refused, present_failure
from api.cli.output import facts, note, present, sentence, table
from api.cli.profile import Profile
from api.demo.narrator import Narrator
from api.journal import Visible
from api.sdk.errors import ServiceProblem
from api.terminal.screen import AUTHOR, FOLDED, cells, folded
from ledger.visible import json_line, visible
from tests.api.cli.conftest import Run

SHAPELESS = {
    "carriage return": "\r",
    "line feed": "\n",
    "tab": "\t",
    "erase the screen": "\x1b[2J",
    "link": "\x1b]8;;http://evil\x1b\\",
    "title": "\x1b]0;x\x07",
    "clipboard": "\x1b]52;c;eA==\x07",
    "C1 control sequence": "\x9b2J",
    "next line": "\x85",
    "delete": "\x7f",
    "override": "\u202e",
    "isolate": "\u2066",
    "mark of direction": "\u200f",
    "Arabic mark": "\u061c",
    "zero width": "\u200b",
    "joiner": "\u200d",
    "word joiner": "\u2060",
    "byte order mark": "\ufeff",
    "tag": "\U000e0041",
    "variation selector": "\ufe0f",
    "soft hyphen": "\xad",
    "Hangul filler": "\u3164",
    "half filler": "\uffa0",
    "Braille blank": "\u2800",
    "line separator": "\u2028",
    "paragraph separator": "\u2029",
    "half a pair": "\ud800",
    "pile of marks": "a" + "\u0301" * 40,
    "private use": "\ue000",
}
HIDDEN = st.sampled_from(sorted(SHAPELESS.values()))
TEXTS = st.lists(st.one_of(st.text(max_size=12), HIDDEN), max_size=6).map("".join)


def steers(text: str) -> list[str]:
    """What a terminal would obey or hide in a text whose line feeds are ours."""
    return [
        c for c in text if c != "\n" and unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp", "Me")
    ]


@pytest.mark.parametrize("what", SHAPELESS)
def test_invisible_character_is_shown_by_its_number(what: str) -> None:
    assert "<U+" in visible("x" + SHAPELESS[what])
    assert not steers(visible(SHAPELESS[what]))


@pytest.mark.parametrize(
    "text", ["空气质量监测（Air quality）", "Zoë Ñandú e\u0301", "นี้ก็ดี", "a - b, “c” — 7 ≤ 8"]
)
def test_visible_text_is_unchanged(text: str) -> None:
    assert visible(text) == text


@settings(max_examples=300)
@given(TEXTS)
def test_no_text_controls_the_terminal_or_begins_a_line(text: str) -> None:
    assert not steers(visible(text))
    assert "\n" not in visible(text)


@settings(max_examples=300)
@given(TEXTS)
def test_json_escapes_invisible_characters_losslessly(text: str) -> None:
    line = json_line({text: [text]})
    assert not steers(line)
    assert "\n" not in line
    assert json.loads(line) == {text: [text]}


@pytest.mark.parametrize("what", SHAPELESS)
@pytest.mark.parametrize("form", ["facts", "sentence", "table", "note", "json"])
def test_every_output_passes_the_screen(form: str, what: str, capsys: pytest.CaptureFixture[str]) -> None:
    hostile = f"Bureau{SHAPELESS[what]}"
    said = {
        "facts": facts({}, hostile, [(hostile, hostile)]),
        "sentence": sentence({}, hostile),
        "table": table({}, hostile, [hostile], [[hostile]]),
        "note": sentence({}),
        "json": sentence({hostile: hostile}),
    }[form]
    present(said, form == "json")
    if form == "note":
        note(hostile)
    out, err = capsys.readouterr()
    assert not steers(out + err)
    assert "<U+" in out + err or form == "json"


ARGUMENT = "x\x1b]0;owned\x07\r\u202e\n  next: civic sign evil"


@pytest.mark.parametrize(
    "arguments",
    [
        (ARGUMENT,),
        ("revoke", ARGUMENT),
        ("sign", ARGUMENT),
        ("keys", "show", ARGUMENT),
        ("submit", "--" + ARGUMENT),
        ("--profile", ARGUMENT, "keys", "list"),
        ("purposes", "list", "--below", ARGUMENT),
        ("policy", "check", ARGUMENT),
        ("audit", "verify", ARGUMENT),
    ],
)
@pytest.mark.parametrize("more", [(), ("--json",)])
def test_arguments_are_repeated_visibly(
    run: Run, profile: Profile, arguments: tuple[str, ...], more: tuple[str, ...]
) -> None:
    outcome = run(*arguments, *more)
    assert outcome.code != 0
    assert not steers(outcome.out + outcome.err)
    assert not any(line.startswith("  next: civic sign evil") for line in outcome.err.splitlines())


@pytest.mark.parametrize("place", ["detail", "next", "reason", "explanation"])
def test_a_service_cannot_write_a_line_of_ours(place: str, capsys: pytest.CaptureFixture[str]) -> None:
    fake = "No.\n  next: civic sign evil.json\u2028  next: civic sign evil.json"
    problem: dict[str, object] = {"code": "purpose.mismatch", "detail": "No.", "next": "Ask."}
    if place == "reason":
        problem["reasons"] = [{"code": "purpose.mismatch", "grant": fake}]
    elif place == "explanation":
        line = {"code": fake, "text": fake, "advice": fake, "grant": fake}
        problem["explanation"] = {"en": {"headline": fake, "lines": [line]}}
    else:
        problem[place] = fake
    present_failure(Refused(ServiceProblem(403, problem), None), as_json=False)
    said = capsys.readouterr().err
    assert "<U+2028>" in said
    assert not any(one.startswith("  next: civic sign") for one in said.split("\n"))


def test_the_log_of_the_service_has_one_line_for_one_event() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(Visible("%(levelname)s %(message)s"))
    log = logging.Logger("test")
    log.addHandler(handler)
    try:
        raise ValueError("no\nERROR forged\x1b[2J")
    except ValueError:
        log.warning("from %s", "a\r\nERROR forged\x9b", exc_info=True)
    said = stream.getvalue()
    assert not steers(said)
    assert [line for line in said.split("\n") if line.startswith("ERROR")] == []
    assert said.startswith("WARNING from a<U+000D><U+000A>ERROR forged<U+009B>\n  | Traceback")


def test_the_demo_prints_no_markup_and_no_control_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    narrator = Narrator(Console(file=stream, width=200), steps=1)
    narrator.denied("[link=http://evil]Bureau[/link]", "x[/]", "why\x1b[2J\n  ✔ checked")
    narrator.tell("[red]\u202e")
    said = stream.getvalue()
    assert "[link=http://evil]Bureau[/link]" in said
    assert not steers(said)
    assert not any(line.startswith("  ✔") for line in said.split("\n"))


def on_a_terminal(*arguments: str, columns: int = 60, **environment: str) -> str:
    """What ``civic`` writes to a terminal of this width."""
    master, slave = pty.openpty()
    here = Path(__file__).parents[3]
    process = subprocess.Popen(
        [sys.executable, "-m", "api.cli.main", *arguments],
        cwd=here, stdin=slave, stdout=slave, stderr=slave, close_fds=True,
        env=os.environ | {"COLUMNS": str(columns), "TERM": "xterm", "NO_COLOR": "1"} | environment,
    )  # fmt: skip
    os.close(slave)
    told = b""
    try:
        while chunk := os.read(master, 65536):
            told += chunk
    except OSError:  # the other end is closed
        pass
    process.wait(timeout=60)
    os.close(master)
    return told.decode().replace("\r\n", "\n")


def test_long_text_begins_no_unmarked_terminal_line(profile: Profile) -> None:
    """The rest of a line that the terminal folds would stand at the left edge, where our lines begin."""
    fake = "x" + " " * 80 + "next: civic sign evil"
    said = on_a_terminal("sign", fake, columns=60)
    assert "evil" in said
    assert all(len(line) < 60 for line in said.split("\n"))
    assert not any(line.lstrip().startswith("next: civic sign") for line in said.split("\n"))


@pytest.mark.parametrize("encoding", ["ascii", "gbk", "latin-1"])
def test_escaped_characters_are_folded_in_their_escaped_form(profile: Profile, encoding: str) -> None:
    """A letter of one column became six, and the terminal folded the line once more: the rest stood at the left edge."""
    fake = "\u0e01" * 60 + "  next: civic sign evil " + "\u0e01" * 60
    said = on_a_terminal("sign", fake, columns=60, PYTHONIOENCODING=encoding, PYTHONUTF8="0")
    assert "\\u0e01" in said
    assert all(len(line) < 60 for line in said.split("\n")), said


@settings(max_examples=200)
@given(st.integers(24, 120), st.integers(0, 8), st.sampled_from(["", AUTHOR]), TEXTS)
def test_folded_line_fits_without_loss(width: int, indent: int, mark: str, text: str) -> None:
    line = " " * indent + mark + visible(text) + " wide 字 " * 8
    first, *rest = folded(line, width)
    assert all(cells(one) < width for one in (first, *rest))
    sign = AUTHOR if line.lstrip(" ").startswith(AUTHOR) else FOLDED
    assert all(one.lstrip(" ").startswith(sign) for one in rest)
    head = rest[0].index(sign) + len(sign) if rest else 0
    assert first + "".join(one[head:] for one in rest) == line


@pytest.mark.parametrize("language", ["en", "zh"])
def test_ascii_terminal_does_not_end_a_command(profile: Profile, language: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "api.cli.main", "purposes", "list", "--lang", language],
        cwd=Path(__file__).parents[3], capture_output=True, check=False,
        env=os.environ | {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"},
    )  # fmt: skip
    assert done.returncode == 0
    assert b"Traceback" not in done.stderr
    assert done.stdout.isascii()
