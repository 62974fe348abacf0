"""Signs in the values of a column: why they are kept as text, and whether they may identify a person. No value is
repeated."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from api.terminal.language import say
from languages.texts import N_

MOST = 0.8
"""The share of a column's values that must have a form before the column counts as having it."""
FEW = 10
"""With fewer values than these, all of them being different is no sign."""

_SHAPES: tuple[tuple[str, str], ...] = (
    (r"\s.*|.*\s", N_("begins or ends with a blank")),
    (r"[+-]?0\d+(\.\d*)?", N_("has leading zeros, which a number would lose")),
    (r"\+\d+(\.\d+)?", N_("has a plus sign, which a number would lose")),
    (r"-?\d{16,}", N_("has more digits than every reader of a number keeps")),
    (r"[+-]?\d+(\.\d*)?[eE][+-]?\d+", N_("is written with an exponent")),
    (r"[+-]?\d{1,3}([,_ ’']\d{3})+(\.\d+)?", N_("has marks between thousands")),
    (r"[+-]?\d+,\d+", N_("has a decimal comma")),
    (r"[+-]?\d*\.\d*", N_("is a decimal that a number would write in another way")),
    (r"[+-]?\d+(\.\d+)?\s*(%|％|元|￥|¥|\$|€)|[￥¥$€]\s*\d.*", N_("has a unit or a currency")),
    (r"\d{4}[/.]\d{1,2}[/.]\d{1,2}.*", N_("is a date that is not written YYYY-MM-DD")),
    (r"\d{4}年\d{1,2}月.*", N_("is a date that is not written YYYY-MM-DD")),
    (r"\d{1,2}[/.-]\d{1,2}[/.-]\d{2,4}.*", N_("is a date that is not written YYYY-MM-DD")),
    (r"\d{4}-\d\d-\d\d.*", N_("is no date or instant of the calendar, or has none of its zone")),
    (r"-?\d+", N_("is written as a number")),
)  # fmt: skip

_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECK = "10X98765432"
"""GB 11643-1999: the check character by the weighted sum of 17 digits modulo 11."""
_IDENTITY = re.compile(r"[1-9]\d{5}(18|19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])\d{3}[\dXx]", re.ASCII)
_MOBILE = re.compile(r"(?:\+?86[ -]?)?1[3-9]\d[ -]?\d{4}[ -]?\d{4}", re.ASCII)
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_SURNAMES = frozenset(
    "王李张刘陈杨黄赵周吴徐孙朱马胡郭林何高梁郑罗宋谢唐韩曹许邓萧冯曾程蔡彭潘袁于董余苏叶吕魏蒋田杜丁沈姜范江傅钟卢汪戴崔任陆廖姚方金邱夏谭韦贾邹石熊孟秦阎薛侯雷白龙段郝孔邵史毛常万顾赖武康贺严尹钱施牛洪龚"
)
_CHINESE_NAME = re.compile("[\u4e00-\u9fff]{2,4}")
_NAMED = {
    "name": re.compile(
        r"姓名|人名|名字|户主|联系人|法人|负责人|^name$|surname"
        r"|(full|first|last|given|family|person|citizen|customer|client|patient|contact|owner|user)[_ .-]?name$",
        re.I,
    ),
    "identity": re.compile(r"身份证|证件号|公民身份|社保号|护照|passport|(^|[_ .-])ssn$", re.I),
    "mobile": re.compile(r"手机|电话|联系方式|phone|mobile|(^|[_ .-])tel$", re.I),
    "identifier": re.compile(
        r"编号$|卡号|账号|学号|工号|病历号|(^|[_ .-])id$|(^|[_ .-])(citizen|person|resident|patient|pupil|student)s?[_ .-]?(id|no|number|key)?$",
        re.I,
    ),
}
SIGNS = {
    "identity": N_("identity numbers"),
    "mobile": N_("telephone numbers"),
    "email": N_("e-mail addresses"),
    "name": N_("names of persons"),
    "identifier": N_("identifiers"),
    "all-different": N_("a key: the values are all different"),
}
"""The kinds of identifying values that a column may hold, the most certain first."""


def text_reason(value: str | None) -> str:
    """The reason why a value cannot be read without loss as a number, a date or a truth value."""
    for shape, text in _SHAPES:
        if value is not None and re.fullmatch(shape, value, re.ASCII | re.DOTALL):
            return say(text)
    return say("is a text")


def signs_of(name: str, values: Collection[str | None], keyed: bool) -> tuple[str, ...]:
    """The words of `SIGNS` that match a column's name and values. ``keyed``: the column has a type that a key may
    have."""
    values_text = [value.strip() for value in values if value is not None and value.strip()]
    found = {sign for sign, pattern in _NAMED.items() if pattern.search(name)}
    for sign, test in (
        ("identity", is_identity_number),
        ("mobile", _MOBILE.fullmatch),
        ("email", _EMAIL.fullmatch),
    ):
        if values_text and sum(1 for value in values_text if test(value)) >= MOST * len(values_text):
            found.add(sign)
    if _are_names(values_text):
        found.add("name")
    if keyed and len(values_text) >= FEW and len(set(values_text)) == len(values_text):
        found.add("all-different")
    return tuple(sign for sign in SIGNS if sign in found)


def is_identity_number(text: str) -> bool:
    """Whether a text is a Chinese identity number of 18 characters whose check character is right (GB 11643-1999)."""
    if not _IDENTITY.fullmatch(text):
        return False
    total = sum(int(digit) * weight for digit, weight in zip(text, _WEIGHTS, strict=False))
    return _CHECK[total % 11] == text[17].upper()


def _are_names(values_text: Sequence[str]) -> bool:
    """Whether most values are Chinese names: a known surname and one to three more characters, with few repetitions."""
    alike = sum(1 for value in values_text if _CHINESE_NAME.fullmatch(value) and value[0] in _SURNAMES)
    return (
        bool(values_text)
        and alike >= MOST * len(values_text)
        and 2 * len(set(values_text)) > len(values_text)
    )
