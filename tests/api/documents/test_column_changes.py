"""What a new version does to the columns on record, for whoever signs it."""

from __future__ import annotations

from typing import Any

from api.documents.datasets import column_changes


def schema(*fields: dict[str, Any]) -> dict[str, Any]:
    return {"fields": list(fields)}


def test_a_column_without_a_class_is_plain() -> None:
    bare, said = {"name": "no2", "type": "number"}, {"name": "no2", "type": "number", "class": "plain"}
    assert list(column_changes(schema(bare), schema(said))) == []
    [changed] = column_changes(schema(bare), schema(said | {"class": "sensitive"}))
    assert (changed.before, changed.after) == ("plain", "sensitive")


def test_every_change_is_told_in_both_languages() -> None:
    old = schema({"name": "pm25", "type": "number"}, {"name": "no2", "type": "number"})
    new = schema({"name": "no2", "type": "string", "class": "sensitive"}, {"name": "o3", "type": "number"})
    assert [(one.words, one.words.zh) for one in column_changes(old, new)] == [
        ("column pm25 goes", "数据项 pm25 不再提供"),
        ("column o3 comes", "新增数据项 o3"),
        ("column no2: type number -> string", "数据项 no2：类型 number -> string"),
        ("column no2: class plain -> sensitive", "数据项 no2：分类 plain -> sensitive"),
    ]
