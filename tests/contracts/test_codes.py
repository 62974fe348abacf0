"""The numbers of the contracts are in one module, which is generated from the Solidity."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from enum import Enum
from pathlib import Path

import pytest

from contracts import build, code_table, codes

ROOT = Path(__file__).resolve().parents[2]
ENUMERATIONS = [one for one in vars(codes).values() if isinstance(one, type) and issubclass(one, Enum)]
NUMBERS = {name: int(value) for name, value in vars(codes).items() if isinstance(value, int)} | {
    f"{prefix}{member.name}": int(member)
    for of in ENUMERATIONS
    if (prefix := next((g.prefix for g in code_table.GROUPS if g.name == of.__name__), None)) is not None
    for member in of
}
LITERAL = (ast.Constant, ast.BinOp, ast.UnaryOp, ast.Tuple, ast.operator, ast.unaryop, ast.expr_context)


def test_they_are_those_of_the_solidity() -> None:
    assert code_table.table() == code_table.TARGET.read_text("utf-8")
    assert codes.Role.GATEWAY == 1 << 10
    assert codes.AssetStatus.SUSPENDED_AND_BARRED == 5
    assert codes.UNLIMITED == 2**32 - 1
    assert codes.USE_GRACE == 259_200


def test_a_number_that_was_changed_by_hand_is_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = tmp_path / "codes.py"
    changed.write_text(code_table.TARGET.read_text("utf-8").replace("100_000", "200_000"), "utf-8")
    monkeypatch.setattr(code_table, "TARGET", changed)
    monkeypatch.setattr(build, "MODULES", tmp_path)
    monkeypatch.setattr(build.solcx, "get_installed_solc_versions", list)
    monkeypatch.delenv("CIVIC_REQUIRE", raising=False)
    assert build.main(["--check"]) == 1
    assert "codes.py does not belong to the sources" in capsys.readouterr().err


def copies(tree: ast.Module) -> Iterator[str]:
    """Names of the contracts' numbers that a module defines itself."""
    for node in tree.body:
        if not isinstance(node, ast.Assign):
            continue
        if not all(isinstance(part, LITERAL) for part in ast.walk(node.value)):
            continue
        value = eval(compile(ast.Expression(node.value), "", "eval"), {"__builtins__": {}})
        for target in node.targets:
            names = target.elts if isinstance(target, ast.Tuple) else [target]
            values = value if isinstance(target, ast.Tuple) else [value]
            for name, number in zip(names, values, strict=False):
                if isinstance(name, ast.Name) and NUMBERS.get(name.id) == number and type(number) is int:
                    yield name.id


def test_no_module_has_a_copy() -> None:
    found = [
        f"{file.relative_to(ROOT)}: {name}"
        for room in ("api", "ledger", "access_policy", "languages")
        for file in (ROOT / room).rglob("*.py")
        for name in copies(ast.parse(file.read_text("utf-8")))
    ]
    assert not found, "\n".join(found)
    assert list(copies(ast.parse("FINANCE, UNLIMITED = 1 << 2, 2**32 - 1"))) == ["FINANCE", "UNLIMITED"]
