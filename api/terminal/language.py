"""The language of the command, chosen once from the process's arguments and environment (`languages.choice`).

Help texts are built at import, so the choice is made once.
"""

from __future__ import annotations

import os
import sys
from functools import cache

from languages.choice import Language, wished_language
from languages.texts import translated


@cache
def language() -> Language:
    """The language of this process."""
    return wished_language(sys.argv[1:], os.environ)


def say(text: str, /, **values: object) -> str:
    """A text of the catalogue in the process's language, with its values put in (`languages.texts.translated`)."""
    return translated(text, language(), **values)
