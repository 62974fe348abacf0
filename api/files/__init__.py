"""A steward's file is recognised, and written anew where the service does not read it as it is.

The service reads Parquet, and CSV of one form (`api.files.canonical`). What else a department has, CSV as Excel writes
it, other encodings and delimiters, workbooks, becomes a file of that form on the steward's machine, before it is hashed.
"""

from api.files.canonical import Prepared, Recognised, prepare, recognise
from api.files.errors import FileError

__all__ = ["FileError", "Prepared", "Recognised", "prepare", "recognise"]
