"""Lost acts in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from api.cli.language import say


def lost_act_words(act: Mapping[str, Any]) -> str:
    """A lost act in words."""
    words = {
        "held": say("held until it is signed again", "停用，待重新签署"),
        "gone": say("not there any more", "已不存在"),
        "signed-again": say("in force again", "已重新生效"),
    }
    state, department, target = words[act["state"]], act["department"], act.get("target", "")
    return say(
        f"lost: {act['event']} {target} of department {department}: {state}",
        f"丢失：部门 {department} 的 {act['event']} {target}：{state}",
    )
