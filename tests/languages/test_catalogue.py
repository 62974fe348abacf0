"""One English text, one Chinese, in one catalogue: how it is read, and what its check finds."""

from __future__ import annotations

from io import BytesIO

import pytest
from babel.messages.pofile import read_po

from docs import messages
from languages.catalogue import BETWEEN, chinese, part_of_catalogue, read_catalogue
from languages.texts import Bilingual, in_both, in_context, in_language, listed, translated
from ledger.counts import counted

CATALOGUE = r"""
msgid ""
msgstr ""
"Language: zh_CN\n"

#: a.py
msgid "{entries} in {file!r}"
msgstr "{file!r} 中有 {entries} 个条目"

msgctxt "transfer"
msgid "to"
msgstr "转入部门"

msgid "a \"quoted\" word\n"
"and another line"
msgstr "“引号”\n"
"与另一行"

msgid "nothing yet"
msgstr ""
"""


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("languages.texts.chinese", lambda: read_catalogue(CATALOGUE))


@pytest.mark.usefixtures("small")
def test_a_text_is_said_in_the_language_with_its_values() -> None:
    text, values = "{entries} in {file!r}", {"entries": counted(2, "entry", "entries"), "file": "a"}
    assert translated(text, "en", **values) == "2 entries in 'a'"
    assert translated(text, "zh", **values) == "'a' 中有 2 个条目"
    said = in_both(text, **values)
    assert (said, said.zh) == ("2 entries in 'a'", "'a' 中有 2 个条目")


@pytest.mark.usefixtures("small")
def test_what_the_catalogue_does_not_have_stays_english() -> None:
    assert translated("nothing yet", "zh") == "nothing yet"
    assert translated("unheard of", "zh") == "unheard of"
    assert translated('{"a": 1}', "zh") == '{"a": 1}'
    with pytest.raises(KeyError):
        translated("{entries} in {file!r}", "zh", entries=1)


@pytest.mark.usefixtures("small")
def test_a_context_tells_two_uses_of_a_word_apart() -> None:
    assert [translated(in_context("transfer", "to"), language) for language in ("en", "zh")] == [
        "to",
        "转入部门",
    ]  # type: ignore[arg-type]
    assert translated("to", "zh") == "to"


def test_values_are_put_in_once() -> None:
    assert translated("{one} {two}", "en", one="{two}", two="b") == "{two} b"


def test_a_list_is_joined_as_the_language_joins() -> None:
    said = listed(["a", counted(2, "row")])
    assert (said, said.zh, in_language("c", "zh")) == ("a, 2 rows", "a、2", "c")
    assert isinstance(said, Bilingual)


def test_the_reader_and_babel_read_the_same() -> None:
    def by_babel(source: bytes) -> dict[str, object]:
        return {
            f"{one.context}{BETWEEN}{one.id}" if one.context else str(one.id): one.string
            for one in read_po(BytesIO(source))
            if one.id and one.string
        }

    assert read_catalogue(CATALOGUE) == by_babel(CATALOGUE.encode())
    assert chinese() == by_babel(messages.CATALOGUE.read_bytes())
    assert len(chinese()) > 1000


def test_a_part_has_the_header_and_the_wanted_texts_alone() -> None:
    part = part_of_catalogue(CATALOGUE, {"to"})
    assert part.count("msgid") == 2
    assert read_catalogue(part) == {f"transfer{BETWEEN}to": "转入部门"}


@pytest.mark.parametrize(
    ("english", "zh", "fault"),
    [
        ("a file", "文件", None),
        ("{n} files", "{n} 个文件", None),
        ("use --json or civic status", "请用 --json 或 civic status", None),
        ("a file", "", "has no Chinese"),
        ("{n} files", "文件", "other values"),
        ("{n} files", "{m} 个文件", "other values"),
        ("a file", "file 文件", "Latin words in Chinese: file"),
    ],
)
def test_the_check_finds(english: str, zh: str, fault: str | None) -> None:
    source = f'msgid ""\nmsgstr "Language: zh_CN\\n"\n\n#: a.py\nmsgid "{english}"\nmsgstr "{zh}"\n'
    found = list(messages.faults(read_po(BytesIO(source.encode()))))
    assert [fault in one for one in found] == ([True] if fault else [])


def test_texts_are_found_where_they_stand() -> None:
    source = """
say("one " "text")
say("yes" if it else "no")
Advice(400, "Title", "next")
N_(other)
where.translated("{n} files", language, n=say("inner"))
NP_("transfer", "to")
"""
    assert list(messages.messages_of(source)) == [
        (None, "one text"),
        (None, "yes"),
        (None, "no"),
        (None, "Title"),
        (None, "next"),
        (None, "{n} files"),
        (None, "inner"),
        ("transfer", "to"),
    ]


def test_a_text_that_is_given_other_values_is_found() -> None:
    source = (
        'say("{a}", a=1)\nsay("{a}", b=1)\nsay("{a}")\nsay("a", a=1)\nsay("{a}", **more)\nsay(\'{"a"}\')\n'
    )
    assert list(messages.misgiven(source)) == [(2, "{a}"), (3, "{a}"), (4, "a")]


def test_chinese_in_the_code_is_found_and_in_a_docstring_is_not() -> None:
    assert list(messages.chinese_of('"""授权."""\nname = "授权"\nsay("a", "b、c")\n')) == [
        (2, "授权"),
        (3, "b、c"),
    ]


def test_texts_come_and_go_with_the_code_and_keep_their_chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {("transfer", "to"): ["b.py"], (None, "a file"): ["a.py"]}
    monkeypatch.setattr(messages, "messages", lambda: said)
    small = read_po(BytesIO(CATALOGUE.encode()), locale="zh_CN")
    assert messages.differing(small)[0] == "not there: 'a file'"
    assert sum(one.startswith("nobody says: ") for one in messages.differing(small)) == 3
    new = messages.brought_up_to_date(read_po(BytesIO(CATALOGUE.encode()), locale="zh_CN"))
    assert [(one.context, one.id, one.string) for one in read_po(BytesIO(new)) if one.id] == [
        (None, "a file", ""),
        ("transfer", "to", "转入部门"),
    ]
