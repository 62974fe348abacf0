"""Examples of the description: a call of every operation to the demo's city, and its answer.

``tests/e2e/test_examples.py`` writes ``examples.json``; it makes the calls again in every run and compares
the forms.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("examples.json")


@cache
def examples() -> Mapping[str, Mapping[str, Any]]:
    """By operation (``GET /v1/status``): who called, the parameters of path and query, the body, the answers
    by status. Empty members are left out."""
    found: Mapping[str, Mapping[str, Any]] = json.loads(FILE.read_text("utf-8"))
    return found
