"""Options that say how a file is read, if it is not recognised or is recognised wrongly."""

from __future__ import annotations

from typing import Annotated

import typer

from api.terminal.language import say

Encoding = Annotated[
    str,
    typer.Option(
        help=say("Encoding of a text; recognised by default (UTF-8, UTF-16 with a mark, GB18030)."),
        show_default=False,
    ),
]
Delimiter = Annotated[
    str,
    typer.Option(
        help=say("Delimiter of a text: comma, semicolon, tab, pipe; recognised by default."),
        show_default=False,
    ),
]
SheetName = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help=say("Sheet of a workbook; the first by default."),
        show_default=False,
    ),
]

Classes = Annotated[
    list[str] | None,
    typer.Option(
        "--class",
        help=say("COLUMN=identifier|quasi-identifier|sensitive|plain (repeat)."),
        show_default=False,
    ),
]
PersonKey = Annotated[
    str,
    typer.Option(help=say("Column that tells persons apart."), show_default=False),
]
Types = Annotated[
    list[str] | None,
    typer.Option(
        "--type",
        help=say("COLUMN=TYPE, such as integer, decimal(2), date, string (repeat)."),
        show_default=False,
    ),
]
Missing = Annotated[
    list[str] | None,
    typer.Option(
        metavar="TEXT",
        help=say("A text that means that a cell of a CSV file is empty, such as NA (repeat)."),
        show_default=False,
    ),
]
ZoneName = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help=say("Time zone of instants written without one; CIVIC_ZONE or Asia/Shanghai by default."),
        show_default=False,
    ),
]
ShowValues = Annotated[
    bool,
    typer.Option(
        "--show-values",
        help=say("Show values of columns that may tell who a row is about."),
    ),
]
