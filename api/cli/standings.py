"""How a grant stands, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from api.cli.language import say

_ZH = {
    "active": "有效",
    "not-yet-valid": "尚未生效",
    "not-yet": "尚未生效",
    "not-accepted": "使用部门尚未接受",
    "spent": "次数已用完",
    "expired": "已到期",
    "revoked": "已撤销",
    "lost-act": "相关行为在恢复中丢失，待重新签署",
    "cancelled": "已取消",
    "not-on-chain": "链上没有记录",
    "id-mismatch": "与签署内容不符",
    "terms-missing": "条款不在此处",
    "asset-suspended": "数据集已暂停",
    "asset-barred": "数据集已禁用",
    "asset-retired": "数据集已退役",
    "department-suspended": "部门已暂停",
    "ancestors-unknown": "上级授权未知",
}


def standing_words(word: str) -> str:
    """A standing as the service names it, for people; one that is not known here as it came."""
    own = word.removeprefix("ancestor-")
    if own == word:
        return say(word.replace("-", " "), _ZH.get(word, word))
    return say(f"a grant above: {own.replace('-', ' ')}", f"上级授权{_ZH.get(own, own)}")


def left_words(left: object) -> str:
    """How many uses are left."""
    return say("unlimited", "不限") if left is None else str(left)


def status_words(grant: Mapping[str, Any]) -> str:
    """How a grant of the register stands, and by what where the chain did not answer the service."""
    words = standing_words(str(grant["status"]))
    if grant.get("chain_asked", True):
        return words
    block = grant["as_of_block"]
    return say(
        f"{words} (as of block {block}; the chain did not answer)", f"{words}（截至区块 {block}，链未应答）"
    )
