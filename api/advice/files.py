"""Codes of files from which no dataset can be made (`api.files`)."""

from __future__ import annotations

from collections.abc import Mapping

from api.advice.advice import Advice as _A

FILES: Mapping[str, _A] = {
    "file": _A(400, "The file cannot be used", "check the path and the rights"),
    "file.empty": _A(400, "The file is empty", "name the file with the data"),
    "file.no-rows": _A(400, "The file has a header and no row", "name a file with at least one row of data"),
    "file.old-xls": _A(
        400,
        "The workbook is of the old form or encrypted",
        "open it in Excel or LibreOffice, remove the password, and save it as .xlsx or as CSV UTF-8",
    ),
    "file.not-a-table": _A(
        400,
        "The file is no table",
        "name a CSV or Parquet file or an .xlsx workbook; unpack an archive first",
    ),
    "file.not-csv": _A(
        400,
        "The service reads CSV and Parquet",
        "let api.files.prepare, or civic dataset register, make a CSV file of it",
    ),
    "file.too-large": _A(400, "The workbook is too large", "save the sheet as CSV UTF-8"),
    "file.encoding": _A(
        400, "The text's encoding is not recognised", "name it with --encoding, or save the file as CSV UTF-8"
    ),
    "file.encoding-name": _A(
        400,
        "The encoding is not known",
        "--encoding utf-8, utf-16, gb18030, big5, shift_jis, euc-kr, windows-1252",
    ),
    "file.delimiter": _A(400, "Several delimiters fit", "name it: --delimiter comma, semicolon, tab or pipe"),
    "file.delimiter-name": _A(400, "This is no delimiter", "--delimiter comma, semicolon, tab or pipe"),
    "file.header": _A(
        400,
        "The header line names no columns as a schema needs them",
        "give each column in the first line one name of its own: 1 to 128 characters, without blanks around it",
    ),
    "file.ragged": _A(
        400,
        "Lines have too many or too few cells",
        "mend the lines that are named; a cell with a delimiter or line break stands in quotation marks",
    ),
    "file.quote": _A(
        400,
        "A quotation mark is out of place",
        "mend the line: inside a quoted cell a quotation mark is written twice",
    ),
    "file.nul": _A(
        400,
        "The text has a NUL character",
        "remove it; if the file is UTF-16 without a mark: --encoding utf-16-le",
    ),
    "file.line-ends": _A(
        400,
        "Lines end in different ways",
        "save the file again with one kind of line end; a cell with a line break stands in quotation marks",
    ),
    "file.long-record": _A(
        400,
        "A record is too long",
        "look for a missing quotation mark; a record has at most 2,097,152 characters",
    ),
    "file.no-sheet": _A(400, "The workbook has no such sheet", "name one with --sheet"),
    "file.formula": _A(
        400,
        "A formula was saved without its value",
        "open the workbook in Excel or LibreOffice and save it, or replace the formula by its value",
    ),
    "file.cell-error": _A(400, "A cell holds an error", "mend or empty the cell that is named"),
    "file.option": _A(400, "The option does not fit the file", "leave it out"),
    "parts": _A(
        400,
        "The files are not parts of one table",
        "see the detail; a table in parts is made with civic dataset append",
    ),
    "parts.none": _A(400, "The list of parts is empty", "name one Parquet file at least"),
    "parts.too-many": _A(
        400,
        "The table has too many parts",
        "write the parts into one Parquet file, and hand it in with civic dataset update",
    ),
    "parts.twice": _A(400, "A part is named twice", "name each file once; its rows are in the table already"),
    "parts.format": _A(
        400,
        "Only Parquet files are parts of a table",
        "write the table as Parquet: once with civic dataset update, then append to it",
    ),
    "parts.types": _A(
        409,
        "A column does not have the same type in every part",
        "write the file with the column types of the other parts; see the detail for the columns",
    ),
    "parts.registered": _A(
        400, "A dataset begins with one file", "register the first file, then civic dataset append the others"
    ),
}
