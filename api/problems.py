"""RFC 9457 problems: the one place that maps stable error codes to HTTP.

Every refusal the service gives is ``application/problem+json`` with ``code`` (stable), ``title`` in English
and Chinese, ``detail``, ``next`` (what to do) and no data values. A code that is not listed here keeps the
status of its longest listed prefix (``column.not-granted`` -> ``column``), otherwise 400.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from access_policy.phrases import EN, ZH, next_step


@dataclass(frozen=True, slots=True)
class Advice:
    """What a code means over HTTP and what its reader can do."""

    status: int
    title_en: str
    title_zh: str
    next_en: str
    next_zh: str


_A = Advice

ADVICE: Mapping[str, Advice] = {
    # who is calling
    "signature": _A(
        401,
        "The call's signature is not acceptable",
        "调用签名不可接受",
        "sign anew: exactly one Ed25519 signature over @method, @target-uri, content-digest and, when present, "
        "accept and idempotency-key, with created, nonce, keyid",
        "请重新签名：仅一个 Ed25519 签名，覆盖 @method、@target-uri、content-digest，有 accept、idempotency-key 时一并覆盖，"
        "并含 created、nonce、keyid",
    ),
    "signature.unknown-key": _A(
        401,
        "The key is not registered",
        "密钥未登记",
        "ask your department's ADMIN officer to register the key",
        "请本部门密钥管理员登记该密钥",
    ),
    "digest": _A(
        400,
        "The body does not match its Content-Digest",
        "正文与 Content-Digest 不符",
        "send the body you signed",
        "请发送所签名的正文",
    ),
    **{
        code: _A(
            400,
            "Content-Digest does not name the SHA-256 of the body",
            "Content-Digest 未给出正文的 SHA-256",
            "send Content-Digest: sha-256=:BASE64: (RFC 9530), also for an empty body",
            "请发送 Content-Digest: sha-256=:BASE64:（RFC 9530），正文为空时亦然",
        )
        for code in ("digest.missing", "digest.algorithm", "digest.malformed")
    },
    "call.replayed": _A(
        409,
        "This call was already made",
        "该调用已执行过",
        "sign every call with a fresh nonce",
        "每次调用请使用新的随机数（nonce）",
    ),
    "request.too-slow": _A(
        408,
        "The request did not arrive in time",
        "请求未在时限内到达",
        "send the whole request at once",
        "请一次发送完整请求",
    ),
    "request.head-too-large": _A(
        431,
        "The head of the request is too large",
        "请求头过大",
        "send fewer or shorter headers",
        "请减少或缩短请求头",
    ),
    "call.too-many": _A(
        429,
        "The department makes too many calls at once",
        "该部门同时进行的调用过多",
        "wait until some of your calls are answered",
        "请等待本部门的部分调用结束后再试",
    ),
    "caller": _A(
        403,
        "The caller may not do this",
        "调用方无此权限",
        "use a key with the role this call needs",
        "请使用具有所需角色的密钥",
    ),
    "idempotency": _A(
        409,
        "The idempotency key belongs to another request",
        "幂等键已用于其他请求",
        "use a new Idempotency-Key for a new request",
        "新请求请使用新的幂等键",
    ),
    "idempotency.expired": _A(
        409,
        "The idempotency key is no longer in force",
        "幂等键已失效",
        "use a new Idempotency-Key: it is a new call and a new charge",
        "请使用新的幂等键：将视为新调用并计次",
    ),
    "idempotency.changed": _A(
        409,
        "The data, the grant or the plan changed since the first call with this key",
        "首次调用后数据、授权或执行计划已变更",
        "use a new Idempotency-Key: it is a new call and a new charge",
        "请使用新的幂等键：将视为新调用并计次",
    ),
    # what is asked
    "request": _A(
        400,
        "The request is malformed",
        "请求格式错误",
        "correct the member the pointer names",
        "请更正 pointer 指出的字段",
    ),
    "request.status": _A(
        400,
        "No grant stands like that",
        "没有这种授权状态",
        "use one of the words in `matches`, or one of them after `ancestor-`",
        "请使用 `matches` 中的词，或在其前加 `ancestor-`",
    ),
    "request.misdirected": _A(
        421,
        "The request names another address than this service's",
        "请求所指地址不是本服务的地址",
        "call the service at its own address; an operator sets it with CIVIC_PUBLIC_URL",
        "请使用本服务的地址；平台运维单位通过 CIVIC_PUBLIC_URL 设定",
    ),
    "request.host": _A(
        400,
        "The request does not say which host it is for",
        "请求未写明目标主机",
        "send one Host header with the service's host and port",
        "请发送一个 Host 字段，写明本服务的主机和端口",
    ),
    "request.header-twice": _A(
        400,
        "A header that decides stands more than once",
        "起决定作用的字段重复出现",
        "send the header once",
        "该字段请只发送一次",
    ),
    "request.target": _A(
        400,
        "The request target is malformed",
        "请求目标格式错误",
        "write a path of visible ASCII characters; encode all others with per cent",
        "请使用可见 ASCII 字符书写路径，其余字符用百分号编码",
    ),
    "query": _A(
        400,
        "The query is malformed",
        "查询格式错误",
        "correct the member the pointer names",
        "请更正 pointer 指出的字段",
    ),
    "terms": _A(
        400,
        "The terms are not in the supported profile",
        "条款不符合受支持的规范",
        "correct the member the pointer names",
        "请更正 pointer 指出的字段",
    ),
    "terms.collection": _A(
        400,
        "The terms depend on a collection that is not kept here",
        "条款依赖此处未登记成员的集合",
        "name the departments one by one",
        "请逐一列出部门",
    ),
    "terms.wider-than-parent": _A(
        409,
        "Delegated terms are wider than the terms above them",
        "转授权条款超出上级授权的范围",
        "leave out what is named as wider and sign again; a filter of rows is best repeated as it stands above",
        "请去除所列超出部分后重新签名；数据行条件宜照录上级条款",
    ),
    "transform": _A(
        400,
        "The transform is not known",
        "未知的去标识化方式",
        "use one of the listed transforms",
        "请使用列出的去标识化方式",
    ),
    "metadata": _A(
        400,
        "The catalogue entry is malformed",
        "目录条目格式错误",
        "correct the member the pointer names",
        "请更正 pointer 指出的字段",
    ),
    "id": _A(
        400, "The identifier is malformed", "标识符格式错误", "see the form in the detail", "格式见详情"
    ),
    "cursor": _A(
        400, "The cursor is not valid", "游标无效", "start again without a cursor", "请不带游标重新开始"
    ),
    "not-found": _A(
        404,
        "Nothing is registered under that identifier",
        "该标识符下没有登记内容",
        "check the identifier against the list",
        "请在列表中核对标识符",
    ),
    "asset.unknown": _A(
        404,
        "The asset is not registered",
        "数据资源未登记",
        "list the catalogue for its identifier",
        "请在目录中查找标识符",
    ),
    "column.unknown": _A(
        400,
        "The asset has no such column",
        "数据资源没有该数据项",
        "see the asset's schema",
        "请查看该数据资源的数据项",
    ),
    "body.too-large": _A(
        413,
        "The body is too large",
        "正文过大",
        "send less, or ask the operator for a higher limit",
        "请减少内容或联系平台运维单位",
    ),
    "grant.unknown": _A(
        404, "There is no such grant", "没有该授权", "list the register for its id", "请在授权公示中查找编号"
    ),
    **{
        prefix: _A(
            403,
            "The call is not permitted",
            "该调用不予准许",
            "see the explanation for what is missing",
            "所缺条件见说明",
        )
        for prefix in sorted({code.partition(".")[0] for code in EN} - {"call", "source"})
    },
    "department": _A(
        403, "The department is not in good standing", "部门状态不可用", "ask the council", "请联系联席会议"
    ),
    # acts
    "act": _A(
        400,
        "The act cannot be taken",
        "该事项无法受理",
        "correct the message and sign again",
        "请更正内容并重新签名",
    ),
    "act.document-missing": _A(
        400,
        "A document of the act is missing",
        "行为缺少所附文件",
        "attach the document that the message names by its SHA-256",
        "请附上消息以 SHA-256 指明的文件",
    ),
    "act.unshown": _A(
        400,
        "The act cannot be shown whole in words",
        "该行为无法以文字完整显示",
        "do not sign it; split it into smaller acts, or use a newer version of the command",
        "请勿签名；请拆分为较小的行为，或使用较新版本的命令",
    ),
    "act.document-unnamed": _A(
        400,
        "A document does not belong to the act",
        "所附文件与该行为无关",
        "leave the document out, or sign a message that names it",
        "请去除该文件，或签署指明该文件的消息",
    ),
    "act.document-repeated": _A(
        400,
        "A document is there twice",
        "所附文件重复",
        "attach every document once",
        "请勿重复附上同一文件",
    ),
    "act.metadata-differs": _A(
        400,
        "The catalogue entry and the record differ",
        "目录条目与登记不一致",
        "state the grade and sharing on record; change them by Reclassify, which takes its own signatures",
        "请填写已登记的级别与共享类型；变更须通过 Reclassify 另行签署",
    ),
    "asset.graded-higher": _A(
        409,
        "The same file is on record at a higher grade",
        "同一文件已按更高级别登记",
        "register it at that grade, then lower the grade by Reclassify with the quorum of that grade",
        "请按该级别登记，再由该级别所需的全体签署人通过 Reclassify 降级",
    ),
    "terms.parties": _A(
        400,
        "The agreement names other parties than the grant",
        "协议与授权的当事方不一致",
        "name the department that grants as assigner and the receiving department as assignee, and sign anew",
        "请以授权部门为授权方（assigner）、以使用部门为被授权方（assignee），并重新签名",
    ),
    "terms.slot-mismatch": _A(
        400,
        "The signed terms and the agreement differ",
        "签名条款与协议不一致",
        "state the same dataset, grantee, times and uses in both, and sign anew",
        "请使两者的数据集、使用部门、期限与次数一致，并重新签名",
    ),
    "terms.column-unknown": _A(
        400,
        "The terms name a column that the dataset does not have",
        "条款所列字段不在数据集中",
        "name columns of the dataset's schema: civic dataset show",
        "请使用数据集字段结构中的字段：civic dataset show",
    ),
    "terms.rows-unfit": _A(
        400,
        "The row filter does not fit the dataset",
        "行条件与数据集不符",
        "compare columns of the dataset with values of their type",
        "请以数据集的字段及其类型的值书写行条件",
    ),
    "terms.transform-unfit": _A(
        400,
        "The transform does not fit the column",
        "脱敏方式与字段类型不符",
        "choose a transform that the column's type admits",
        "请选择该字段类型适用的脱敏方式",
    ),
    "act.deadline": _A(
        400,
        "The deadline of the act is too early",
        "行为的截止时间过早",
        "draft it again with a deadline after the time in the detail, and have it signed anew",
        "请以晚于详情所列时间的截止时间重新起草，并重新签名",
    ),
    "act.refused": _A(
        409,
        "The contract refuses the act",
        "合约拒绝该事项",
        "see the contract's error in the detail",
        "请查看详情中的合约错误",
    ),
    "act.conflict": _A(
        409,
        "Another act stands under this identity",
        "已有另一事项使用该标识",
        "change the salt and sign again",
        "请更换随机值并重新签名",
    ),
    "act.lost-act": _A(
        409,
        "An act before this one is lost and must be signed again first",
        "此前的签署行为已丢失，须先重新签署",
        "`civic status` lists what is held; the department that signed the lost act signs it again",
        "请运行 `civic status` 查看；由原签署部门重新签署丢失的行为",
    ),
    "act.accepted": _A(
        409,
        "Another officer of the grantee has accepted this grant",
        "被授权部门的另一位人员已接受该授权",
        "nothing is left to do: the grant is accepted",
        "无需再操作：该授权已被接受",
    ),
    "source": _A(
        409,
        "The data do not match what was signed",
        "数据与签名内容不符",
        "upload the file whose hash the register entry names",
        "请上传登记条目所列哈希的文件",
    ),
    "source.quota": _A(
        413,
        "The department's data would exceed its quota",
        "该部门的数据将超出其配额",
        "retire datasets that are not needed, or ask the operator for a higher quota",
        "请注销不再需要的数据资源，或联系平台运维单位提高配额",
    ),
    "source.changed": _A(
        500,
        "The stored data are not the ones that were signed",
        "存储的数据与签名内容不符",
        "tell the operator the asset; nothing was released or charged, and the refusal is in the log",
        "请将资产编号告知运营方；未放出数据、未计次，该拒绝已入日志",
    ),
    # the log and the store
    "audit": _A(
        500,
        "The audit log reports an error",
        "审计日志报告错误",
        "tell the operator; keep what you received as evidence",
        "请告知平台运维单位，并保留已收到的内容作为证据",
    ),
    "audit.rollback": _A(
        503,
        "The service was restored from an older state",
        "服务恢复到了较早的状态",
        "tell the operator: the newest state is restored, or the log goes on by a new epoch",
        "请告知平台运维单位：恢复最新状态，或以新纪元续接日志",
    ),
    "audit.cursor": _A(
        400, "The cursor is not valid", "游标无效", "start again without a cursor", "请不带游标重新开始"
    ),
    "audit.anchor_unavailable": _A(
        503,
        "The chain is out of reach",
        "区块链不可用",
        "check CIVIC_RPC_URL and the node; try again later",
        "请检查 CIVIC_RPC_URL 及节点，稍后再试",
    ),
    "audit.no_entry": _A(
        404,
        "The log has no such entry",
        "日志中没有该条目",
        "check the number of the entry",
        "请核对条目序号",
    ),
    **{
        code: _A(
            503,
            "The audit log cannot take entries",
            "审计日志暂不能写入",
            "try again later; nothing was released",
            "请稍后再试；未提供任何数据",
        )
        for code in ("audit.log_unavailable", "audit.log_closed")
    },
    **{
        prefix: _A(
            500,
            "The service's own state does not hold",
            "服务自身状态有误",
            "tell the operator",
            "请告知平台运维单位",
        )
        for prefix in ("ledger", "projection", "store")
    },
    "store.held": _A(
        503,
        "Another service has the database",
        "数据库已由另一服务占用",
        "stop the other service; a database belongs to one home and one service",
        "请停止另一服务；一个数据库只属于一个安装目录和一个服务",
    ),
    "store.unavailable": _A(
        503,
        "The database is out of reach",
        "数据库不可用",
        "try again shortly; who runs the service checks the database and CIVIC_DATABASE_URL",
        "请稍后重试；运维单位请检查数据库及 CIVIC_DATABASE_URL",
    ),
    **{
        prefix: _A(
            500,
            "The installation is not as it should be",
            "安装目录或设置有误",
            "tell the operator",
            "请平台运维单位按提示处理",
        )
        for prefix in ("home", "retention", "settings")
    },
    # what a client finds by itself
    "keystore": _A(
        400,
        "The key file cannot be used",
        "密钥文件无法使用",
        "name a key file of the right kind; make one with: civic keys new NAME --kind KIND",
        "请指定类型正确的密钥文件；新建密钥：civic keys new 名称 --kind 种类",
    ),
    "keystore.wrong-passphrase": _A(
        400,
        "The passphrase does not open the key file",
        "口令与密钥文件不符",
        "check the passphrase: --passphrase-file or CIVIC_PASSPHRASE",
        "请检查口令：--passphrase-file 或 CIVIC_PASSPHRASE",
    ),
    "keystore.no-passphrase": _A(
        400,
        "The key needs its passphrase",
        "使用密钥需要口令",
        "give --passphrase-file, CIVIC_PASSPHRASE_FILE or CIVIC_PASSPHRASE",
        "请通过 --passphrase-file、CIVIC_PASSPHRASE_FILE 或 CIVIC_PASSPHRASE 提供口令",
    ),
    "profile": _A(
        400,
        "The profile or trust file cannot be used",
        "配置或信任文件无法使用",
        "name the profile directory with --profile or CIVIC_PROFILE",
        "请用 --profile 或 CIVIC_PROFILE 指定配置目录",
    ),
    "client": _A(400, "The call cannot be made", "无法发出该调用", "check the options", "请检查各选项的取值"),
    "client.unreachable": _A(
        503,
        "The service does not answer",
        "服务无应答",
        "is the service running? start it with: civic serve",
        "请确认服务已启动：civic serve",
    ),
    "log.fork": _A(
        502,
        "Two different logs are signed with the log's key",
        "同一日志密钥签署了两个不同的日志",
        "give the kept fork file to the auditor and to the other departments; use nothing of this service",
        "请将保存的分叉证据文件交给审计员和其他部门；不要使用该服务的任何内容",
    ),
    "log.unwitnessed": _A(
        502,
        "Too few witnesses have lately cosigned this log",
        "近期联署该日志的见证方不足",
        "ask the keepers of the witnesses and the auditor what log they see",
        "请向见证方保管人和审计员核对其所见日志",
    ),
    "heads": _A(
        400,
        "The file of signed heads cannot be used",
        "日志头文件无法使用",
        "ask the other department for: civic heads export FILE",
        "请向对方部门索取由 civic heads export 生成的文件",
    ),
    "outgoing": _A(
        503,
        "A call to another machine brought no usable answer",
        "对另一台机器的调用未得到可用应答",
        "check the address, and whether the machine answers in time",
        "请检查地址，以及对方能否按时应答",
    ),
    "answer": _A(
        502,
        "The service's answer does not hold",
        "服务的应答未通过核验",
        "do not use this service until its operator has explained",
        "在平台运维单位作出说明前，请勿使用该服务",
    ),
    "word": _A(
        400,
        "The word is not one of those known here",
        "该词不在词表之内",
        "use a listed word",
        "请使用词表所列的词",
    ),
    # documents
    **{
        prefix: _A(
            400,
            "The document is not of its form",
            "文档格式错误",
            "correct what the message names",
            "请按提示更正文档",
        )
        for prefix in ("format", "membership", "predicate.type", "record", "schema")
    },
    "format.unknown": _A(
        400,
        "The format is not one the service writes",
        "不支持该格式",
        "ask for JSON, CSV, Arrow or Parquet with Accept",
        "请通过 Accept 选择 JSON、CSV、Arrow 或 Parquet",
    ),
    # the service itself
    "chain": _A(
        503,
        "The chain is not available",
        "区块链不可用",
        "try again later; governance state can still be read",
        "请稍后再试；授权与目录信息仍可读取",
    ),
    "clock": _A(
        503,
        "The service's clock is in doubt",
        "服务时钟存疑",
        "tell the operator: nothing is released until the clock is right again; a revocation is still taken",
        "请告知平台运维单位：时钟恢复正常前不提供数据，撤销仍可提交",
    ),
    "anchor": _A(
        503,
        "The log has not been anchored for too long",
        "审计日志长时间未能上链锚定",
        "tell the operator: nothing is released until the chain takes the log's head again",
        "请告知平台运维单位：日志重新锚定前不提供数据",
    ),
    "log": _A(
        503,
        "The audit log cannot take entries",
        "审计日志暂不能写入",
        "try again later; nothing was released",
        "请稍后再试；未提供任何数据",
    ),
    "scan": _A(
        500,
        "The data could not be read",
        "数据读取失败",
        "call again later, or tell the operator; nothing was released or charged, and the refusal is in the log",
        "请稍后重新调用，或告知平台运维单位；未放出数据、未计次，该拒绝已入日志",
    ),
    "scan.busy": _A(
        503,
        "Every scanning process is busy",
        "所有扫描进程均繁忙",
        "call again after the seconds of Retry-After; nothing was released or charged",
        "请在应答头所示秒数后重新调用；未放出数据、未计次",
    ),
    "service.busy": _A(503, "The service is busy", "服务繁忙", "try again in a second", "请稍后再试"),
    "service.failed": _A(
        500,
        "The service failed",
        "服务内部错误",
        "tell the operator when it happened",
        "请告知平台运维单位发生时间",
    ),
    "release": _A(
        409, "The release cannot be served", "该次提供不可用", "ask for the release record", "请查询提供记录"
    ),
}

_STATUS: Mapping[str, int] = {"asset.version-unsigned": 500, "asset.version-behind": 503}
"""Reasons that are nobody's among the callers."""

_FALLBACK = _A(400, "The request was refused", "请求被拒绝", "see the detail", "请查看详情")


def advice_for(code: str) -> Advice:
    """The advice of a code, or of its longest listed prefix. What a reason says is said in `access_policy.phrases`."""
    whole = code
    while True:
        found = ADVICE.get(code)
        if found is not None:
            if code == whole or whole not in EN:
                return found
            en, zh = next_step(whole)
            return replace(
                found,
                status=_STATUS.get(whole, found.status),
                title_en=EN[whole][1],
                title_zh=ZH[whole][1],
                next_en=en,
                next_zh=zh,
            )
        if "." not in code:
            return _FALLBACK
        code = code.rpartition(".")[0]


class Problem(Exception):
    """A refusal on its way to the caller; raised inside the service, rendered once in ``app``.

    ``members`` are extension members (reasons, pointer, receipt, ...) and hold no data values.
    """

    def __init__(
        self,
        code: str,
        detail: str = "",
        members: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.members = members or {}
        self.headers = headers or {}

    @property
    def status(self) -> int:
        return advice_for(self.code).status

    def document(self) -> dict[str, Any]:
        """The RFC 9457 object."""
        advice = advice_for(self.code)
        return {
            "type": f"https://civicledger.example/problems/{self.code}",
            "title": advice.title_en,
            "status": advice.status,
            "detail": self.detail,
            "code": self.code,
            "next": advice.next_en,
            "zh": {"title": advice.title_zh, "next": advice.next_zh},
            **self.members,
        }
