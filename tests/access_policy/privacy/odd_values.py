"""Cells as other programs write them, for every type and every physical type of it."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

from .rowwise_cells import EXACT

ZONES = [None, None, "Asia/Shanghai", "Europe/Berlin", "America/New_York", "UTC"]
KINDS = ["string", "integer", "number", "boolean", "date", "datetime", "time", "year", "yearmonth"]
KINDS += ["decimal(0)", "decimal(2)", "decimal(2)", "decimal(18)", "string", "integer", "number"]
TEXTS = [
    "nsw",
    "vic",
    "qld",
    "Café",
    "Cafe\u0301",
    "Ｃａｆé",
    "Café ",
    "\u3000café",
    "",
    " ",
    "İstanbul",
    "ß",
    "王芳",
    "😀x",
    "NaN",
    "null",
    "a,b",
    'q"q',
    "line\nend",
    "x" * 70,
]
WRITTEN: dict[str, list[str]] = {
    "string": TEXTS,
    "integer": [
        "0",
        "7",
        "-7",
        "+7",
        "007",
        "-0",
        "10",
        "30",
        "95",
        "9007199254740993",
        "9223372036854775807",
        "-9223372036854775808",
        "9223372036854775808",
        "1.0",
        "1e3",
        "1_000",
        " 12",
        "",
        "seven",
        "٣",
        "12 ",
    ],
    "number": [
        "0",
        "-0",
        "0.1",
        "0.3",
        "0.7",
        "-0.25",
        "5.",
        ".5",
        "1e3",
        "1E-3",
        "1e300",
        "-1e300",
        "5e-324",
        "1e-400",
        "1e400",
        "NaN",
        "inf",
        "-Infinity",
        "1_000",
        " 12",
        "0x1F",
        "12,5",
        "10",
        "35",
        "36",
        "9007199254740993",
        "0.15",
        "1.15",
        "2.675",
        "116.05",
        "-15.35",
        "-1",
        "",
        "12345678901234567.89",
    ],
    "boolean": ["true", "True", "TRUE", "1", "false", "False", "FALSE", "0", "yes", "t", "", "tRUE", "2"],
    "date": [
        "2024-05-01",
        "2024-02-29",
        "2023-02-29",
        "2024-13-01",
        "2024/05/01",
        "0001-01-01",
        "0000-01-01",
        "0999-12-31",
        "9999-12-31",
        "10000-01-01",
        "infinity",
        "epoch",
        "2024-5-1",
        "",
        "2024-05-01 ",
        "2024-05-02",
    ],
    "time": [
        "10:00:00",
        "00:00:00",
        "23:59:59.999999",
        "24:00:00",
        "23:59:60",
        "09:30",
        "09:30:00.5",
        "09:30:00.",
        "10:00:00.1234567",
        "",
        "9:30:00",
    ],
    "datetime": [
        "2024-01-01T00:30:00+08:00",
        "2023-12-31T15:59:00Z",
        "2024-01-01T00:30:00",
        "2023-12-31 23:59",
        "2024-01-01T24:00:00Z",
        "2024-12-31T23:59:60Z",
        "infinity",
        "epoch",
        "2024/1/3",
        "2026-03-29T02:30:00",
        "2026-10-25T02:30:00",
        "2026-11-01T01:30:00",
        "2026-03-08 02:30:00",
        "2024-02-30T00:00:00Z",
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00+08:00",
        "9999-12-31T23:59:59.999999Z",
        "9999-12-31T23:59:59-01:00",
        "2024-01-01T00:00:00.1234567Z",
        "2024-01-01T00:00:00.5-0330",
        "2024-01-01T00:00:00+99:99",
        "2024-01-01T00:00:00+23:59",
        "2024-01-01T00:00:00+08:60",
        "1900-01-01T00:00:00",
        "0000-12-31T23:00:00Z",
        "0000-12-31T23:00:00-05:00",
        "0000-12-31T23:00:00",
        "9999-12-31T23:30:00",
        "",
        "2024-01-01",
    ],
    "year": ["2024", "1999", "0000", "-0044", "24", "12024", "twenty", "2024.0", "", "+2024"],
    "yearmonth": ["2024-05", "1999-12", "2024-13", "2024-00", "05/2024", "2024-5", "", "0000-01"],
    "decimal(0)": [
        "0",
        "12",
        "-12",
        "+12",
        "0012",
        "12.0",
        "110101199003071234",
        "9" * 38,
        "9" * 39,
        "1e3",
        "",
        "-0",
    ],
    "decimal(2)": [
        "12.50",
        "12.5",
        "-0.01",
        "0",
        "-0.00",
        "12.505",
        "90071992547409.93",
        "9" * 36 + ".99",
        "9" * 37,
        "1e2",
        "12.",
        ".5",
        "",
        "7",
        "0" * 50 + "1.5",
    ],
    "decimal(18)": [
        "0.000000000000000001",
        "1.5",
        "-99999999999999999999.999999999999999999",
        "100000000000000000000",
        "12",
        "",
        "0.0000000000000000001",
    ],
}
"""Cells of a CSV file, or of a Parquet column of texts."""

NAN = float("nan")
DOUBLES = [
    0.0,
    -0.0,
    0.1,
    0.3,
    10.0,
    35.0,
    36.0,
    1.7,
    0.125,
    2.0**53,
    2.0**60,
    2.0**63,
    1e22,
    1e30,
    1e300,
    -1e300,
    5e-324,
    NAN,
    math.inf,
    -math.inf,
    0.15,
    1.15,
    116.05,
    -15.35,
    7.675,
    0.35,
    2.675,
    -1.0,
    1e15 + 0.3,
    2.0**70,
    0.1 + 0.2,
]
_WHOLE = [0, 1, 2, 10, 30, 95, -7]
_DAYS = [0, 19_844, 19_782, -719_162, -719_163, 2_932_896, 2_932_897, 10**6 * 5]
_SECONDS = [
    0,
    86_400,
    1_700_000_000,
    1_704_040_200,
    1_774_751_400,
    1_792_895_400,
    -62_135_596_800,
    -62_135_596_801,
    253_402_300_799,
    253_402_300_800,
]


def _decimals(precision: int, scale: int) -> list[Decimal]:
    most = Decimal(10**precision - 1).scaleb(-scale, EXACT)
    return [
        Decimal(0),
        most,
        most.copy_negate(),
        *(Decimal(n).scaleb(-scale) for n in (1, 50, -7) if n < 10**precision),
    ]


def _ints(bits: int, signed: bool) -> list[Any]:
    least, most = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    return (
        [n for n in _WHOLE if least <= n]
        + [least, most]
        + [n for n in (2**53, 2**53 + 1, 2**24 + 1) if n <= most]
    )


def _instants(unit: str) -> list[Any]:
    scale = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    found = [n * scale for n in _SECONDS] + [n * scale + 1 for n in _SECONDS[:4]]
    found += [2**63 - 1, -(2**63) + 1] if unit in ("us", "ns") else []
    return [n for n in found if -(2**63) < n < 2**63]


PHYSICAL: dict[str, list[Any]] = {
    **{f"int{bits}": _ints(bits, True) for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": _ints(bits, False) for bits in (8, 16, 32, 64)},
    "float": [0.5, -0.0, 10.0, NAN, math.inf, 1.5, 35.0, 16777216.0],
    "halffloat": [0.5, -0.0, 10.0, NAN, math.inf, 1.5, 35.0],
    "double": DOUBLES,
    "bool": [True, False],
    "date32[day]": _DAYS,
    "date64[ms]": [day * 86_400_000 for day in _DAYS],
    **{f"timestamp[{unit}]": _instants(unit) for unit in ("s", "ms", "us", "ns")},
    **{f"timestamp[{unit}, tz=UTC]": _instants(unit) for unit in ("s", "ms", "us", "ns")},
    "time32[ms]": [0, 36_000_000, 86_399_999],
    "time64[us]": [0, 36_000_000_000, 86_399_999_999],
    "time64[ns]": [0, 36_000_000_000_000, 1, 86_399_999_999_999],
    **{
        f"decimal128({p}, {s})": _decimals(p, s)
        for p, s in ((4, 0), (9, 2), (18, 4), (38, 2), (38, 18), (20, 0))
    },
    "null": [None],
}
"""Cells of Parquet columns: raw numbers of the unit for days, instants and times."""

NUMBERS = [
    name for name in PHYSICAL if name.startswith(("int", "uint", "float", "double", "decimal", "half"))
]
TAKEN: dict[str, list[str]] = {
    "string": ["int64", "uint64", "bool", "date32[day]", "decimal128(9, 2)", "decimal128(38, 18)"],
    "integer": NUMBERS,
    "number": NUMBERS,
    "boolean": ["bool", "bool", "int8", "uint8", "int64"],
    "date": [
        "date32[day]",
        "date32[day]",
        "date64[ms]",
        "timestamp[us]",
        "timestamp[s]",
        "timestamp[ns]",
        "timestamp[us, tz=UTC]",
    ],
    "datetime": [name for name in PHYSICAL if name.startswith("timestamp")],
    "time": ["time32[ms]", "time64[us]", "time64[ns]"],
    "year": ["int16", "int32", "uint64", "int64", "double"],
    "yearmonth": [],
    **{f"decimal({n})": NUMBERS for n in (0, 2, 18)},
}
"""The physical types, besides text, of each type."""
