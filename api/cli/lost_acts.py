"""Words for lost acts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from api.terminal.language import say


def lost_act_words(act: Mapping[str, Any]) -> str:
    """A lost act in words."""
    words = {
        "applied": say("carried to the chain again"),
        "held": say("held until it is signed again"),
        "gone": say("not there any more"),
        "signed-again": say("in force again"),
    }
    state, department, target = (
        words[act["state"]],
        act["department"],
        act.get("target") or act.get("act") or "",
    )
    if act.get("documents_missing"):
        state += say(
            "; its document is not here: its department hands the act file in again (civic submit FILE)"
        )
    what = f"{act['event']} {target}".rstrip()
    return say("lost: {what}: {state}", what=_whose(what, department), state=state)


def undecided_words(act: Mapping[str, Any]) -> str:
    """An act that was being delivered when it was lost, in words."""
    kind, department, denied = act["message"], act["department"], ", ".join(act["denies"])
    what = {
        "sent-again": say("sent to the chain again; until it is there {denied} stays denied", denied=denied),
        "act.not-in-bundle": say(
            "it denies {denied} until the act file is handed in again (civic submit FILE) or the act signed anew",
            denied=denied,
        ),
        "act.expired": say(
            "its deadline has passed; it denies {denied} until the act is signed anew", denied=denied
        ),
    }.get(act.get("why", act["state"]))
    what = what or say(
        "the chain does not take it ({why}); it denies {denied} until the act is signed anew, unless the chain has it",
        why=act.get("why"),
        denied=denied,
    )
    return say("lost on its way: {kind}: {what}", kind=_whose(kind, department), what=what)


def _whose(act: str, department: int) -> str:
    """An act and its department; an act of the council has no department (0)."""
    if not department:
        return say("{act} of the council", act=act)
    return say("{act} of department {department}", act=act, department=department)
