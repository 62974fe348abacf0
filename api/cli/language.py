"""Which language the command speaks: ``--lang`` or ``CIVIC_LANG`` (en, zh), otherwise the locale's.

Help texts are built when the modules are imported, so the choice is made once, from the environment.
"""

from __future__ import annotations

import os
import sys
from functools import cache
from typing import Literal

Language = Literal["en", "zh"]


@cache
def language() -> Language:
    """The language of this process."""
    for position, argument in enumerate(sys.argv[1:], start=1):
        if argument == "--lang" and position + 1 < len(sys.argv):
            return "zh" if sys.argv[position + 1].lower().startswith("zh") else "en"
        if argument.startswith("--lang="):
            return "zh" if argument[7:].lower().startswith("zh") else "en"
    wish = os.environ.get("CIVIC_LANG") or os.environ.get("LC_ALL") or os.environ.get("LANG") or "en"
    return "zh" if wish.lower().startswith("zh") else "en"


def say(en: str, zh: str) -> str:
    """The one of two texts that fits the process's language."""
    return zh if language() == "zh" else en
