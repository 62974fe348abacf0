"""What a command answers a Chinese reader is Chinese: labels, states, verdicts and mistakes of the command line."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

import api.cli
from access_policy.explain.phrases import PHRASES
from api.cli import labels
from api.cli.main import main
from api.cli.output import facts, present
from api.cli.standings import value_words
from api.cli.times import unix_text
from api.terminal.language import language
from api.v1.answers.acts import ProposalState
from api.v1.answers.requests import AccessRequest
from contracts.codes import AssetStatus, DepartmentStatus
from languages.texts import translated
from ledger.acts.wording import value_text
from ledger.audit.verify.receipts import ReceiptVerdict
from ledger.audit.verify.verdict import Verdict, pinned_head
from ledger.chain.code_words import word_of
from ledger.requests.workflow import STATES

CHINESE = re.compile("[\u4e00-\u9fff]")


@pytest.fixture(autouse=True)
def chinese(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("CIVIC_LANG", "zh")
    language.cache_clear()
    yield
    monkeypatch.undo()
    language.cache_clear()


def shown(pairs: dict[str, object], capsys: pytest.CaptureFixture[str]) -> list[str]:
    present(facts(pairs, "", pairs.items()), False)
    return capsys.readouterr().out.splitlines()


def test_members_are_labelled_in_chinese(capsys: pytest.CaptureFixture[str]) -> None:
    [name, block] = shown({"name": "steward", "block": 7}, capsys)
    assert name.split() == ["名称", "steward"]
    assert block.split() == ["区块", "7"]


def named_members() -> Iterator[str]:
    """Every member that a module of the command names in a document which it shows."""
    for module in Path(api.cli.__file__).parent.rglob("*.py"):
        for function in ast.walk(ast.parse(module.read_text("utf-8"))):
            if isinstance(function, ast.FunctionDef) and any(map(shows_a_document, ast.walk(function))):
                yield from members_in(function)


def shows_a_document(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ("facts", "show")
        and not (isinstance(node.args[-1], ast.List))
    )


def members_in(function: ast.FunctionDef) -> Iterator[str]:
    for node in ast.walk(function):
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Dict):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if isinstance(target, ast.Name) and target.id == "document":
                yield from (str(key.value) for key in node.value.keys if isinstance(key, ast.Constant))


def test_every_member_that_a_command_names_has_a_label() -> None:
    found = set(named_members()) - {
        "words",
        "release",
        "witnessed",
        "heads",
    }  # shown in sentences of their own
    assert len(found) > 10
    assert sorted(name for name in found if not CHINESE.search(labels.label(name)) and name != "sha256") == []


def test_objects_and_lists_of_objects_are_shown_by_their_members(capsys: pytest.CaptureFixture[str]) -> None:
    [upload] = shown({"upload": {"bytes": 59}}, capsys)
    assert upload.split() == ["上传", "字节数", "59"]
    [warning] = shown(
        {
            "warnings": [
                {"code": "version.columns", "detail": "column a goes", "detail_zh": "数据项 a 不再提供"}
            ]
        },
        capsys,
    )
    assert warning.split() == ["注意", "数据项", "a", "不再提供", "[version.columns]"]


@pytest.mark.parametrize("status", [*AssetStatus, *DepartmentStatus], ids=str)
def test_status_words_are_chinese(status: AssetStatus | DepartmentStatus) -> None:
    assert CHINESE.search(str(value_words("status", word_of(status))))


@pytest.mark.parametrize(
    "state", sorted({*STATES, *get_args(ProposalState.model_fields["state"].annotation)})
)
def test_state_words_are_chinese(state: str) -> None:
    assert CHINESE.search(str(value_words("state", state)))


@pytest.mark.parametrize("decision", ["permit", "deny"])
def test_decision_words_are_chinese(decision: str) -> None:
    assert CHINESE.search(str(value_words("decision", decision)))


def test_every_member_of_a_request_has_a_label() -> None:
    members = set(AccessRequest.model_fields)
    assert sorted(name for name in members if not CHINESE.search(labels.label(name))) == []


@pytest.mark.parametrize("of", [(), ("audit",), ("audit", "readers")], ids=" ".join)
def test_help_is_chinese_around_its_texts(of: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*of, "--help"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("用法：")
    assert [
        word
        for word in ("Usage", "Arguments:", "Options:", "Commands:", "required", "Show this")
        if word in said
    ] == []


def test_verdict_comparisons_are_chinese() -> None:
    verdict = Verdict(
        "verified",
        "o",
        9,
        b"",
        9,
        "anchor not checked",
        held_elsewhere=(pinned_head(9),),
        remarks=("one remark",),
    )
    [_, _, matched, note] = verdict.lines("zh")
    assert "英文" not in matched
    assert not re.search("[A-Za-z]{3}", matched)
    assert "英文" in note  # what has no Chinese says so
    assert verdict.lines()[2] == "  matched with the pinned head of size 9"


def test_grade_and_sharing_have_the_signers_words() -> None:
    assert value_words("grade", "important") == "重要"
    assert value_words("sharing", "conditional") == "有条件共享"
    assert value_words("title", "conditional") == "conditional"


LOG = Verdict("verified", "example/log", 60, b"", 60, "anchor not checked", remarks=("one remark",))
RECEIPT = ReceiptVerdict("verified", 7, {}, "example/log", 60, "anchor checked")


@pytest.mark.parametrize("verdict", [LOG, RECEIPT], ids=["log", "receipt"])
def test_verdict_lines_are_chinese(verdict: Verdict | ReceiptVerdict) -> None:
    said = verdict.lines("zh")
    assert len(said) == len(verdict.lines())
    assert all(CHINESE.search(line) for line in said)
    assert "锚定" in said[0]
    assert ("未核对" in said[0]) == (verdict.anchor == "anchor not checked")


@pytest.mark.parametrize("word", ["verified", "verified in part", "self-consistent only", "failed"])
@pytest.mark.parametrize("stamp", ["timestamp checked", "timestamp not checked", "no timestamp"])
def test_every_word_of_a_verdict_has_its_chinese(word: str, stamp: str) -> None:
    verdict: Any = Verdict(word, "o", 0, b"", 0, "anchor checked", timestamp=stamp)  # type: ignore[arg-type]
    said = verdict.lines("zh")
    assert not re.search("[A-Za-z]{3}", said[0])


@pytest.mark.parametrize(
    "arguments", [("keys", "show"), ("keys", "show", "a", "--nothing"), ("nothing",)], ids=" ".join
)
@pytest.mark.parametrize("form", [(), ("--json",)], ids=["words", "json"])
def test_usage_errors_are_chinese(
    arguments: tuple[str, ...], form: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, *form]) == 2
    out, err = capsys.readouterr()
    said = out + err
    assert "命令行有误" in said
    assert "Error:" not in said
    assert "Try '" not in said


def test_uses_that_are_exhausted_are_counted_in_times() -> None:
    assert "{wanted} 次" in translated(PHRASES["uses.exhausted"][0], "zh")


def test_instants_and_money_have_chinese_form() -> None:
    assert unix_text(1_800_000_000) == "2027-01-15 16:00:00（北京时间）"
    assert value_text("CommitStatement", "debits", 12_345, "zh") == "123.45 元"
