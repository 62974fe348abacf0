// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @notice `total` counts every use of the grant since it began; `logHead` is the root of the audit log that
/// holds them, or the id of the delegation that this total is signed for.
struct Use {
    bytes32 grant;
    uint32 total;
    bytes32 logHead;
    uint40 deadline;
}

struct Usage {
    bytes32 grant;
    uint32 total;
}

struct UseBatch {
    Usage[] uses;
    bytes32 logHead;
    uint40 deadline;
}

/// @notice The total of a grant is lower than recorded: both departments say so.
struct CorrectUses {
    bytes32 grant;
    uint32 total;
    uint40 deadline;
    uint64 salt;
}

/// @title Use, as a cumulative signed total
/// @notice Signed by an ATTEST key of the department that holds the right, or by the city's GATEWAY. Replay
/// and reordering are harmless: a total only grows, by at most 100,000 at once, until both departments correct it.
/// A total is a record and gates nothing (`IGrants.isLive` does): it is taken from the first second of the grant until
/// 72 hours after its end, also of a revoked or delegated one.
interface IUsage {
    /// @notice So many uses since the grant began, by the log with this head.
    event Used(bytes32 indexed grant, uint32 total, bytes32 logHead);
    /// @notice A batch passed over this one. `why`: 1 no such grant, 2 before its first second, 3 too long after its
    /// end, 4 not higher, 5 more than is left, 6 too many at once, 7 the signer's department does not hold the right.
    event UseSkipped(bytes32 indexed grant, uint32 total, uint8 why);
    /// @notice Both departments lowered the total.
    event UsesCorrected(
        bytes32 indexed grant, uint32 total, address holderOfficer, address granteeOfficer, bytes32 message
    );

    /// @notice A total at or below the one that stands: an older message, or the same again.
    error TotalNotHigher(bytes32 grant, uint32 total, uint32 uses);
    /// @notice More than is left to the grant.
    error UsesExhausted(bytes32 grant, uint32 total, uint32 maxUses);
    /// @notice A total rises by at most 100,000 at once.
    error StepTooLarge(bytes32 grant, uint32 total, uint32 uses);
    /// @notice A correction lowers.
    error CorrectionNotLower(bytes32 grant, uint32 total, uint32 uses);
    /// @notice The attest key's department neither holds the right nor is it the gateway.
    error NotAttestor(address key, uint24 department);

    /// @notice Records the total of a grant.
    function use(Use calldata m, bytes calldata signature) external;

    /// @notice Many at once. What cannot be recorded is passed over (`UseSkipped`); a batch of nothing else is refused.
    function useBatch(UseBatch calldata m, bytes calldata signature) external;

    /// @notice Lowers a total that a machine recorded wrongly.
    /// @param holder Of a STEWARD or CDO of the department that holds the right.
    /// @param grantee Of a STEWARD or CDO of the grantee.
    function correctUses(CorrectUses calldata m, bytes calldata holder, bytes calldata grantee) external;
}
