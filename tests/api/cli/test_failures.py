"""A failure is reported once, with a code and the next step, without a traceback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.cli.failures import Refused, described, present_failure
from api.cli.profile import Profile
from api.http.problems import Problem
from api.sdk.errors import ServiceProblem
from api.terminal.language import language
from languages.texts import in_both
from tests.api.cli.conftest import Run

DENIAL = {
    "code": "purpose.mismatch",
    "title": "The purpose is not granted",
    "detail": "Refused.\n- Marketing is not allowed.",
    "next": "ask the steward for this purpose",
    "reasons": [
        {"code": "purpose.mismatch", "grant": "0x01", "rule": "/permission/0"},
        {"code": "grant.expired", "grant": "0x02"},
    ],
}


def test_a_denial_prints_every_reason_and_where_its_receipt_is(capsys: pytest.CaptureFixture[str]) -> None:
    refused = Refused(ServiceProblem(403, DENIAL), Path("receipts/7.tlog-proof"))
    assert present_failure(refused, as_json=False) == 1
    said = capsys.readouterr().err
    for part in ("purpose.mismatch", "grant.expired", "0x02", "ask the steward", "receipts/7.tlog-proof"):
        assert part in said
    document = described(refused)
    assert [reason["code"] for reason in document["reasons"]] == ["purpose.mismatch", "grant.expired"]
    assert (document["status"], document["receipt"]) == (403, "receipts/7.tlog-proof")


def test_service_text_cannot_control_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = DENIAL | {"detail": "\x1b[2Jgone", "next": "type \x07this"}
    present_failure(Refused(ServiceProblem(403, hostile), None), as_json=False)
    said = capsys.readouterr().err
    assert "\x1b" not in said
    assert "\x07" not in said


@pytest.fixture
def chinese(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("CIVIC_LANG", "zh")
    language.cache_clear()
    yield
    monkeypatch.undo()
    language.cache_clear()


@pytest.mark.usefixtures("chinese")
def test_the_detail_of_the_service_is_chinese_where_it_has_its_chinese(
    capsys: pytest.CaptureFixture[str],
) -> None:
    answer = Problem("not-found.entry", in_both("the log has no entry {index}", index=7)).document()
    assert answer["detail"] == "the log has no entry 7"
    present_failure(Refused(ServiceProblem(404, answer), None), as_json=False)
    said = capsys.readouterr().err
    assert "详情: 日志没有条目 7" in said
    assert "英文" not in said
    present_failure(Refused(ServiceProblem(404, answer | {"zh": {"title": "没有"}}), None), as_json=False)
    assert "英文详情: the log has no entry 7" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ("bogus",),
        ("keys", "new"),
        ("read",),
        ("audit", "verify"),
        ("keys", "list", "--nonsense"),
        ("department", "show"),
    ],
)
def test_usage_error_exits_with_2(run: Run, arguments: tuple[str, ...]) -> None:
    assert run(*arguments).code == 2
    refused = run(*arguments, "--json")
    assert (refused.code, refused.error["code"]) == (2, "usage")


def test_a_defect_shows_no_traceback_unless_asked(
    run: Run, profile: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    (profile.trust_file).write_text("{}")
    assert "Traceback" not in run("profile", "show").err
    monkeypatch.setenv("CIVIC_DEBUG", "1")
    assert "Traceback" in run("profile", "show").err


def test_a_missing_file_is_named(run: Run, tmp_path: Path) -> None:
    refused = run("policy", "check", tmp_path / "nowhere.json", "--json")
    assert (refused.code, refused.error["code"]) == (1, "file.unusable")
    assert "nowhere.json" in refused.error["message"]


@pytest.mark.parametrize("hostile", ["[" * 100_000, '{"a": NaN', "\ufeff{}", "[]", "1"])
def test_hostile_terms_are_refused_quickly(run: Run, tmp_path: Path, hostile: str) -> None:
    path = tmp_path / "terms.json"
    path.write_text(hostile, "utf-8")
    refused = run("policy", "check", path, "--json")
    assert refused.code in (1, 2)
    assert refused.error["code"] in ("usage", "terms.invalid")


def test_the_version_is_printed(run: Run) -> None:
    assert run("--version").out.startswith("civic 0.")


def test_one_json_object_and_nothing_else_is_on_standard_output(run: Run, profile: Profile) -> None:
    for arguments in (
        ("profile", "show"),
        ("keys", "list"),
        ("purposes", "search", "research"),
        ("keys", "show", "nobody"),
    ):
        out = run(*arguments, "--json").out
        assert out.count("\n") == 1
        assert isinstance(json.loads(out), dict)
