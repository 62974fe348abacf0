"""Recognises a steward's file and converts it if the service cannot read it.

The service reads Parquet, and CSV of one form (`api.files.canonical`). Other files (CSV as Excel writes it, other
encodings and delimiters, workbooks) are converted to that form on the steward's machine before they are hashed.
"""

from api.files.canonical import Prepared, Recognised, prepare, recognise
from api.files.errors import FileError

__all__ = ["FileError", "Prepared", "Recognised", "prepare", "recognise"]
