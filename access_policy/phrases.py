"""What each reason code says to a person, in English and Chinese, and what that person can do next.

Some codes are the gateway's own (``grant.revoked``, ``call.replayed``...): it decides them before the engine is asked.
``{seen}`` and ``{wanted}`` stand for the values of the reason, already in words; the second text of each pair is used
when they are redacted or absent. The words are those of the glossary.
"""

from __future__ import annotations

from typing import Final

Phrase = tuple[str, str]

EN: Final[dict[str, Phrase]] = {
    "action.not-granted": (
        "“{seen}” is not granted; the grant covers {wanted}.",
        "The grant does not cover this action.",
    ),
    "action.unknown": ("“{seen}” is not an action of the profile.", "The action is not in the profile."),
    "area.mismatch": (
        "The area {seen} does not fit; the terms want {wanted}.",
        "The area does not fit the terms.",
    ),
    "assignee.invalid": ("{seen} is not a single party.", "The caller is not a single party."),
    "attribute.invalid": (
        "A value has the wrong kind: {seen}; the terms want {wanted}.",
        "An attribute of the call has the wrong kind.",
    ),
    "attribute.missing": (
        "The call does not say what the terms ask for: {wanted}.",
        "The call lacks an attribute the terms ask for.",
    ),
    "column.not-granted": (
        "Not granted: {seen}. Granted columns: {wanted}.",
        "A column was asked for that is not granted.",
    ),
    "column.prohibited": (
        "Nothing is left to release: {seen} are prohibited.",
        "Nothing is left to release: the columns are prohibited.",
    ),
    "consequence.unfulfilled": (
        "A duty was breached; what follows from it is still owed: {wanted}.",
        "A duty was breached, and what follows from it is still owed.",
    ),
    "constraint.not-exactly-one": (
        "Exactly one of the alternatives must hold; {seen}.",
        "Exactly one of the alternatives must hold.",
    ),
    "constraint.unsatisfied": (
        "None of the alternatives holds: the call has {seen}; the terms want {wanted}.",
        "None of the alternatives of the terms holds.",
    ),
    "context.incomplete": (
        "The gateway did not say what the terms depend on: {wanted}.",
        "The gateway did not say what the terms depend on.",
    ),
    "context.invalid": (
        "The instant of the call cannot be used: {seen}.",
        "The instant of the call cannot be used.",
    ),
    "duty.overdue": ("The limit of a duty has passed: {wanted}.", "The limit of a duty has passed."),
    "duty.unfulfilled": ("This duty is not fulfilled: {wanted}.", "A duty is not fulfilled."),
    "format.mismatch": (
        "The format {seen} does not fit; the terms want {wanted}.",
        "The format does not fit the terms.",
    ),
    "grant.expired": (
        "The grant has ended: the terms allow use {wanted}; the call came at {seen}.",
        "The grant has ended.",
    ),
    "grant.none": ("There is no grant of {wanted} to {seen}.", "There is no grant for this."),
    "grant.not-yet-valid": (
        "The grant has not begun: the terms allow use {wanted}; the call came at {seen}.",
        "The grant has not begun.",
    ),
    "grant.suspended": ("The grant is suspended.", "The grant is suspended."),
    "language.mismatch": (
        "The language {seen} does not fit; the terms want {wanted}.",
        "The language does not fit the terms.",
    ),
    "legal-basis.mismatch": (
        "The legal basis {seen} does not fit; the terms want {wanted}.",
        "The legal basis does not fit the terms.",
    ),
    "party.mismatch": (
        "The party is {seen}; the terms want {wanted}.",
        "The party is not of the kind the terms want.",
    ),
    "period.elapsed": (
        "{seen} have passed since the first use; the terms want {wanted}.",
        "The period since the first use does not fit the terms.",
    ),
    "policy.conflict": (
        "These terms permit and prohibit the same thing, and say that this makes them void.",
        "These terms permit and prohibit the same thing, and say that this makes them void.",
    ),
    "prohibition.indeterminate": (
        "A prohibition cannot be ruled out for {seen}.",
        "A prohibition cannot be ruled out.",
    ),
    "prohibition.matched": ("A prohibition applies to {seen}.", "A prohibition applies."),
    "purpose.mismatch": (
        "The purpose {seen} is not allowed; the terms want {wanted}.",
        "The purpose is not one the terms allow.",
    ),
    "purpose.unknown": (
        "{seen} is not a purpose of DPV 2.3 that a call can have.",
        "The purpose is not one of DPV 2.3 that a call can have.",
    ),
    "recipient.mismatch": (
        "The recipient {seen} does not fit; the terms want {wanted}.",
        "The recipient does not fit the terms.",
    ),
    "remedy.unfulfilled": (
        "An infringement has not been remedied: {wanted}.",
        "An infringement has not been remedied.",
    ),
    "time.mismatch": (
        "The instant {seen} does not fit; the terms want {wanted}.",
        "The instant does not fit the terms.",
    ),
    "transform.incompatible": (
        "The grants of this chain treat the column {seen} in ways that cannot be joined.",
        "The grants of this chain treat a column in ways that cannot be joined.",
    ),
    "uses.exhausted": ("No use is left: {seen} uses were made; the terms allow {wanted}.", "No use is left."),
    "call.replayed": ("This signed call was already made.", "This signed call was already made."),
    "idempotency.conflict": (
        "The idempotency key was used for another request.",
        "The idempotency key was used for another request.",
    ),
    "idempotency.expired": (
        "The idempotency key is no longer in force.",
        "The idempotency key is no longer in force.",
    ),
    "idempotency.changed": (
        "The data, the grant or the plan changed since the first call with this idempotency key.",
        "The data, the grant or the plan changed since the first call with this idempotency key.",
    ),
    "grant.revoked": ("The grant was revoked.", "The grant was revoked."),
    "grant.lost-act": (
        "An act that ended or stopped this grant is lost with the chain that recorded it.",
        "An act that ended or stopped this grant is lost with the chain that recorded it.",
    ),
    "grant.id-mismatch": (
        "The stored terms are not the signed ones.",
        "The stored terms are not the signed ones.",
    ),
    "grant.not-accepted": (
        "The grantee has not accepted the terms.",
        "The grantee has not accepted the terms.",
    ),
    "grant.terms-invalid": ("The terms cannot be read.", "The terms cannot be read."),
    "asset.version-unsigned": (
        "The stored catalogue entry is not the one that was signed.",
        "The stored catalogue entry is not the one that was signed.",
    ),
    "asset.version-behind": (
        "The chain has a newer version of the dataset than the service has followed.",
        "The chain has a newer version of the dataset than the service has followed.",
    ),
    "source.changed": (
        "The stored data are not the ones that were signed.",
        "The stored data are not the ones that were signed.",
    ),
    "scan.failed": ("The data could not be read.", "The data could not be read."),
    "caller.key-ended": (
        "The key of the call is no longer in force.",
        "The key of the call is no longer in force.",
    ),
    "grant.terms-missing": ("The terms are not at hand.", "The terms are not at hand."),
    "grant.cancelled": ("The grant was cancelled.", "The grant was cancelled."),
    "grant.not-yet": ("The grant has not begun.", "The grant has not begun."),
    "grant.department-suspended": (
        "A department of the grant is suspended.",
        "A department of the grant is suspended.",
    ),
    "grant.ancestors-unknown": (
        "The grants from which this one was delegated cannot be proved.",
        "The grants from which this one was delegated cannot be proved.",
    ),
    "grant.not-on-chain": ("The chain does not know the grant.", "The chain does not know the grant."),
    "asset.suspended": ("The dataset is suspended.", "The dataset is suspended."),
    "asset.barred": (
        "The dataset is barred until the council lifts it.",
        "The dataset is barred until the council lifts it.",
    ),
    "asset.retired": ("The dataset was retired.", "The dataset was retired."),
    "grant.asset-suspended": (
        "The dataset of the grant is suspended.",
        "The dataset of the grant is suspended.",
    ),
    "grant.asset-barred": (
        "The dataset of the grant is barred until the council lifts it.",
        "The dataset of the grant is barred until the council lifts it.",
    ),
    "grant.asset-retired": ("The dataset of the grant was retired.", "The dataset of the grant was retired."),
    "grant.asset-unknown": (
        "The chain does not know the dataset of the grant.",
        "The chain does not know the dataset of the grant.",
    ),
    "grant.department-unknown": (
        "The chain does not know a department of the grant.",
        "The chain does not know a department of the grant.",
    ),
    "grant.unknown": ("The chain does not know the grant.", "The chain does not know the grant."),
    "uses.taken": (
        "The last use was taken by another call at the same moment.",
        "The last use was taken by another call at the same moment.",
    ),
    "column.unknown": ("The dataset has no such column.", "The dataset has no such column."),
    "predicate.type": (
        "A value of the filter does not fit the type of its column.",
        "A value of the filter does not fit the type of its column.",
    ),
    "transform.not-applicable": (
        "The terms treat a column in a way that its type does not allow.",
        "The terms treat a column in a way that its type does not allow.",
    ),
    "plan.refused": ("The query cannot be run under the grant.", "The query cannot be run under the grant."),
    "plan.row-filter": (
        "The row filter of the terms does not fit the dataset.",
        "The row filter of the terms does not fit the dataset.",
    ),
    "plan.option-unsupported": (
        "The terms ask for a protection that this service does not have.",
        "The terms ask for a protection that this service does not have.",
    ),
}

ZH: Final[dict[str, Phrase]] = {
    "action.not-granted": ("授权不包括“{seen}”；已授权：{wanted}。", "授权不包括该操作。"),
    "action.unknown": ("“{seen}”不是规范中的操作。", "该操作不在规范之内。"),
    "area.mismatch": ("行政区划 {seen} 不符；条款要求：{wanted}。", "行政区划不符合条款。"),
    "assignee.invalid": ("{seen} 不是单一主体。", "调用方不是单一主体。"),
    "attribute.invalid": ("取值类型有误：{seen}；条款要求：{wanted}。", "调用中的某项属性类型有误。"),
    "attribute.missing": ("调用未说明条款所要求的内容：{wanted}。", "调用缺少条款所要求的属性。"),
    "column.not-granted": ("未授权的数据项：{seen}。已授权的数据项：{wanted}。", "请求了未授权的数据项。"),
    "column.prohibited": ("没有可提供的数据项：{seen} 已被禁止。", "没有可提供的数据项。"),
    "consequence.unfulfilled": ("违反义务后的补救尚未完成：{wanted}。", "违反义务后的补救尚未完成。"),
    "constraint.not-exactly-one": ("备选条件须恰好满足一项；现为 {seen}。", "备选条件须恰好满足一项。"),
    "constraint.unsatisfied": ("备选条件均不满足：调用为 {seen}；条款要求：{wanted}。", "备选条件均不满足。"),
    "context.incomplete": ("网关未提供条款所依据的信息：{wanted}。", "网关未提供条款所依据的信息。"),
    "context.invalid": ("调用时间不可用：{seen}。", "调用时间不可用。"),
    "duty.overdue": ("义务已逾期：{wanted}。", "义务已逾期。"),
    "duty.unfulfilled": ("义务尚未履行：{wanted}。", "义务尚未履行。"),
    "format.mismatch": ("格式 {seen} 不符；条款要求：{wanted}。", "格式不符合条款。"),
    "grant.expired": ("授权已到期：条款允许使用的时间为{wanted}；调用时间为 {seen}。", "授权已到期。"),
    "grant.none": ("没有把 {wanted} 授权给 {seen}。", "没有相应的授权。"),
    "grant.not-yet-valid": (
        "授权尚未生效：条款允许使用的时间为{wanted}；调用时间为 {seen}。",
        "授权尚未生效。",
    ),
    "grant.suspended": ("授权已暂停。", "授权已暂停。"),
    "language.mismatch": ("语言 {seen} 不符；条款要求：{wanted}。", "语言不符合条款。"),
    "legal-basis.mismatch": ("法律依据“{seen}”不符；条款要求：{wanted}。", "法律依据不符合条款。"),
    "party.mismatch": ("主体类型为 {seen}；条款要求：{wanted}。", "主体类型不符合条款。"),
    "period.elapsed": ("自首次使用已过 {seen}；条款要求：{wanted}。", "自首次使用起的期间不符合条款。"),
    "policy.conflict": (
        "条款对同一事项既许可又禁止，并规定此时条款无效。",
        "条款对同一事项既许可又禁止，并规定此时条款无效。",
    ),
    "prohibition.indeterminate": ("无法排除对 {seen} 的禁止。", "无法排除某项禁止。"),
    "prohibition.matched": ("{seen} 受禁止条款约束。", "受禁止条款约束。"),
    "purpose.mismatch": ("用途“{seen}”不在许可范围内；条款要求：{wanted}。", "用途不在许可范围内。"),
    "purpose.unknown": (
        "{seen} 不是调用可使用的 DPV 2.3 用途。",
        "该用途不是调用可使用的 DPV 2.3 用途。",
    ),
    "recipient.mismatch": ("接收方 {seen} 不符；条款要求：{wanted}。", "接收方不符合条款。"),
    "remedy.unfulfilled": ("违规尚未补救：{wanted}。", "违规尚未补救。"),
    "time.mismatch": ("时间 {seen} 不符；条款要求：{wanted}。", "时间不符合条款。"),
    "transform.incompatible": (
        "各级授权对数据项 {seen} 的处理方式无法合并。",
        "各级授权对某数据项的处理方式无法合并。",
    ),
    "uses.exhausted": ("使用次数已用完：已使用 {seen} 次；条款允许：{wanted}。", "使用次数已用完。"),
    "call.replayed": ("该签名调用已经执行过。", "该签名调用已经执行过。"),
    "idempotency.conflict": ("该幂等键已用于其他请求。", "该幂等键已用于其他请求。"),
    "idempotency.expired": ("该幂等键已失效。", "该幂等键已失效。"),
    "idempotency.changed": (
        "自首次使用该幂等键以来，数据、授权或执行计划已变更。",
        "自首次使用该幂等键以来，数据、授权或执行计划已变更。",
    ),
    "grant.revoked": ("授权已撤销。", "授权已撤销。"),
    "grant.lost-act": (
        "终止或暂停本授权的签署行为已随原有链记录丢失。",
        "终止或暂停本授权的签署行为已随原有链记录丢失。",
    ),
    "grant.id-mismatch": ("所存条款与已签署的条款不一致。", "所存条款与已签署的条款不一致。"),
    "grant.not-accepted": ("需求部门尚未接受授权条款。", "需求部门尚未接受授权条款。"),
    "grant.terms-invalid": ("条款无法读取。", "条款无法读取。"),
    "asset.version-unsigned": ("存储的目录条目与签名内容不符。", "存储的目录条目与签名内容不符。"),
    "asset.version-behind": (
        "链上已有该数据资源的新版本，本服务尚未同步。",
        "链上已有该数据资源的新版本，本服务尚未同步。",
    ),
    "source.changed": ("存储的数据与签名内容不符。", "存储的数据与签名内容不符。"),
    "scan.failed": ("数据读取失败。", "数据读取失败。"),
    "caller.key-ended": ("调用所用密钥已失效。", "调用所用密钥已失效。"),
    "grant.terms-missing": ("缺少条款正文。", "缺少条款正文。"),
    "grant.cancelled": ("授权已作废。", "授权已作废。"),
    "grant.not-yet": ("授权尚未生效。", "授权尚未生效。"),
    "grant.department-suspended": ("授权涉及的部门已暂停。", "授权涉及的部门已暂停。"),
    "grant.ancestors-unknown": ("无法证明本授权所依据的上级授权。", "无法证明本授权所依据的上级授权。"),
    "grant.not-on-chain": ("链上没有该授权。", "链上没有该授权。"),
    "asset.suspended": ("该数据资源已暂停共享。", "该数据资源已暂停共享。"),
    "asset.barred": ("该数据资源已被联席会议停用。", "该数据资源已被联席会议停用。"),
    "asset.retired": ("该数据资源已终止共享。", "该数据资源已终止共享。"),
    "grant.asset-suspended": ("授权所涉数据资源已暂停共享。", "授权所涉数据资源已暂停共享。"),
    "grant.asset-barred": ("授权所涉数据资源已被联席会议停用。", "授权所涉数据资源已被联席会议停用。"),
    "grant.asset-retired": ("授权所涉数据资源已终止共享。", "授权所涉数据资源已终止共享。"),
    "grant.asset-unknown": ("链上没有授权所涉数据资源。", "链上没有授权所涉数据资源。"),
    "grant.department-unknown": ("链上没有授权所涉部门。", "链上没有授权所涉部门。"),
    "grant.unknown": ("链上没有该授权。", "链上没有该授权。"),
    "uses.taken": ("最后一次使用已被同时的另一调用占用。", "最后一次使用已被同时的另一调用占用。"),
    "column.unknown": ("该数据资源没有此数据项。", "该数据资源没有此数据项。"),
    "predicate.type": ("筛选条件的取值与数据项类型不符。", "筛选条件的取值与数据项类型不符。"),
    "transform.not-applicable": (
        "条款规定的处理方式不适用于该数据项的类型。",
        "条款规定的处理方式不适用于该数据项的类型。",
    ),
    "plan.refused": ("该查询不能在此授权下执行。", "该查询不能在此授权下执行。"),
    "plan.row-filter": ("条款的行筛选条件与数据资源不符。", "条款的行筛选条件与数据资源不符。"),
    "plan.option-unsupported": ("条款要求的保护方式本服务不支持。", "条款要求的保护方式本服务不支持。"),
}

ABOVE: Final[Phrase] = (
    "Grant {0}, from which this one was delegated, refuses: {1}",
    "本授权所依据的上级授权 {0} 不予允许：{1}",
)
"""Before the reason of an ancestor."""

NEXT: Final[dict[str, Phrase]] = {
    "action": ("Ask the provider for a grant that covers this action.", "请向提供部门申请包含该操作的授权。"),
    "attribute": (
        "State the attribute in the call, with a value of the vocabulary.",
        "请在调用中按词表说明该属性。",
    ),
    "column": ("Ask for granted columns only, or request more.", "请只请求已授权的数据项，或另行申请。"),
    "consequence": ("Do what is owed and report it.", "请完成并报告应尽事项。"),
    "asset": ("Ask the department that holds the dataset.", "请联系提供部门。"),
    "asset.version-unsigned": ("Tell the operator of the service.", "请告知平台运维单位。"),
    "asset.version-behind": (
        "Call again in a few seconds; if it stays so, tell the operator of the service.",
        "请数秒后重试；如仍如此，请告知平台运维单位。",
    ),
    "call": ("Sign every call anew, with a fresh nonce.", "每次调用请重新签名，并使用新的随机数。"),
    "caller": (
        "Ask your department's ADMIN officer to register a key.",
        "请本部门密钥管理员登记密钥。",
    ),
    "scan": ("Call again later, or tell the operator.", "请稍后重新调用，或告知平台运维单位。"),
    "column.unknown": ("See the columns of the dataset.", "请查看该数据资源的数据项。"),
    "context": ("This is for the operator of the gateway to repair.", "请平台运维单位处理。"),
    "duty": ("Fulfil the duty and report it.", "请履行义务并报告。"),
    "grant": ("Request a grant, or its renewal, from the provider.", "请向提供部门申请授权或续期。"),
    "grant.not-accepted": (
        "An officer of the department that was granted accepts first: civic accept.",
        "请先由需求部门的授权人员接受该授权：civic accept。",
    ),
    "grant.lost-act": (
        "Ask the department that signed the act to sign it again, and request a new grant where one is due.",
        "请签署该行为的部门重新签署；如需继续使用，请申请新的授权。",
    ),
    "grant.not-yet": ("Wait until the grant begins.", "请在授权生效后调用。"),
    "grant.not-yet-valid": ("Wait until the grant begins.", "请在授权生效后调用。"),
    "grant.suspended": ("Ask the provider when it goes on.", "请向提供部门了解恢复时间。"),
    "grant.asset-suspended": ("Ask the provider when the dataset goes on.", "请向提供部门了解恢复时间。"),
    "grant.asset-barred": ("Only the council can lift it.", "须由联席会议恢复。"),
    "grant.asset-retired": ("Look for another dataset in the catalogue.", "请在目录中查找其他数据资源。"),
    "grant.department-suspended": ("Only the council can lift it.", "须由联席会议恢复。"),
    **dict.fromkeys(
        (
            "grant.ancestors-unknown",
            "grant.asset-unknown",
            "grant.department-unknown",
            "grant.id-mismatch",
            "grant.not-on-chain",
            "grant.terms-invalid",
            "grant.terms-missing",
            "grant.unknown",
            "source",
        ),
        ("Tell the operator of the service.", "请告知平台运维单位。"),
    ),
    "plan": (
        "Ask for less, or ask the provider to change the terms.",
        "请缩小查询范围，或请提供部门更改条款。",
    ),
    "policy": ("Ask the provider to repair the terms.", "请提供部门更正条款。"),
    "prohibition": (
        "Ask the provider whether the prohibition is meant for this case.",
        "请向提供部门确认禁止条款是否适用。",
    ),
    "predicate": ("Give a value of the column's type.", "请按数据项的类型给出取值。"),
    "purpose": (
        "Call for a purpose that was granted, or request this one.",
        "请按已授权的用途调用，或另行申请。",
    ),
    "remedy": ("Remedy the infringement and report it.", "请完成补救并报告。"),
    "transform": (
        "Ask the department that delegated the grant to state the same protection as the grant above.",
        "请转授权部门采用与上级授权相同的处理方式。",
    ),
    "uses": ("Request a renewal from the provider.", "请向提供部门申请续期。"),
    "": ("Compare the call with the terms of the grant.", "请对照授权条款检查调用。"),
}
"""By a code, or by the longest beginning of it that stands here."""


def next_step(code: str) -> Phrase:
    """What the reader of a reason can do."""
    while code and code not in NEXT:
        code = code.rpartition(".")[0]
    return NEXT[code]


OPERATOR_WORDS: Final[dict[str, Phrase]] = {
    "eq": ("exactly {0}", "恰为{0}"),
    "neq": ("other than {0}", "不为{0}"),
    "lt": ("less than {0}", "小于{0}"),
    "lteq": ("at most {0}", "不超过{0}"),
    "gt": ("more than {0}", "大于{0}"),
    "gteq": ("at least {0}", "不少于{0}"),
    "isA": ("{0} or something narrower", "{0}及其下位项"),
    "isPartOf": ("{0} or a part of it", "{0}及其所属"),
    "hasPart": ("{0} or something broader", "{0}及其上位项"),
    "isAnyOf": ("one of {0}, or narrower", "{0}之一及其下位项"),
    "isAllOf": ("what falls under all of {0}", "同属{0}"),
    "isNoneOf": ("none of {0}, nor anything narrower", "不属于{0}，也不属于其下位项"),
}

TIME_WORDS: Final[dict[str, Phrase]] = {
    "eq": ("at {0}", "{0}当时"),
    "neq": ("at any instant but {0}", "{0}以外"),
    "lt": ("before {0}", "{0}之前"),
    "lteq": ("until {0}", "{0}及以前"),
    "gt": ("after {0}", "{0}之后"),
    "gteq": ("from {0} on", "{0}起"),
}

_EQUAL: Final[dict[str, Phrase]] = {name: OPERATOR_WORDS[name] for name in ("eq", "neq")}

AREA_WORDS: Final[dict[str, Phrase]] = _EQUAL | {
    "isPartOf": ("{0} or a part of it", "{0}或其辖区"),
    "hasPart": ("{0} or an area that contains it", "{0}或其上级区域"),
    "isAnyOf": ("one of {0}, or a part of one", "{0}之一或其辖区"),
    "isNoneOf": ("none of {0}, nor a part of one", "不属于{0}及其辖区"),
}

PARTY_WORDS: Final[dict[str, Phrase]] = _EQUAL | {
    "isPartOf": ("{0} or a member of it", "{0}或其成员"),
    "isAnyOf": ("one of {0}, or a member of one", "{0}之一或其成员"),
    "isNoneOf": ("none of {0}, nor a member of one", "不属于{0}及其成员"),
}

EXACT_WORDS: Final[dict[str, Phrase]] = _EQUAL | {
    "isAnyOf": ("one of {0}", "{0}之一"),
    "isNoneOf": ("none of {0}", "不属于{0}"),
}

_WORDS_OF: Final[dict[str, dict[str, Phrase]]] = {
    "dateTime": TIME_WORDS,
    "spatial": AREA_WORDS,
    "recipient": PARTY_WORDS,
    "language": EXACT_WORDS,
    "fileFormat": EXACT_WORDS,
    "partyKind": EXACT_WORDS,
}


def operator_words(operand: str, operator: str) -> Phrase:
    """What an operator does with the values of an operand, as `access_policy.evaluation` does it."""
    return _WORDS_OF.get(operand, OPERATOR_WORDS)[operator]
