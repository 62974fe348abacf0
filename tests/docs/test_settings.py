"""The page of settings names each of them, with the default of today."""

from __future__ import annotations

import re

from api.cli.environment import OF_THE_COMMAND
from api.runtime.settings import Settings
from docs.settings import PAGE, page


def test_the_page_holds_the_settings_of_today() -> None:
    text = PAGE.read_text("utf-8")
    assert page(text) == text, "run python -m docs.settings"


def test_each_setting_stands_in_the_page_once() -> None:
    names = re.findall(r"^\| `CIVIC_(\w+)` \|", PAGE.read_text("utf-8"), re.M)
    settings = [name.upper() for name in Settings.model_fields]
    assert [name for name in names if name in settings] == settings


def test_each_variable_of_the_command_line_stands_in_the_page() -> None:
    text = PAGE.read_text("utf-8")
    assert [name for name in OF_THE_COMMAND if f"`CIVIC_{name}`" not in text] == []
