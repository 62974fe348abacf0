// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {AssetView} from "./IAssets.sol";
import {Use} from "./IUsage.sol";

/// @notice Everything a grant is. Its struct hash is the grant's id. `termsHash` is the SHA-256 of the
/// canonical (RFC 8785) ODRL agreement. `parent` is 0, or the grant that is delegated from. `depth`: how many further
/// delegations may hang below, and 128 where the grantee may derive assets of its own.
struct Terms {
    uint64 asset;
    uint24 grantee;
    uint8 right;
    uint40 notBefore;
    uint40 expiry;
    uint32 maxUses;
    uint8 depth;
    uint40 deadline;
    bytes32 termsHash;
    bytes32 parent;
    uint64 salt;
}

struct GrantBatch {
    Terms[] grants;
    uint40 deadline;
}

/// @notice `reason`: 0 not said, 1 terms breached, 2 purpose ended, 3 asset withdrawn, 4 key compromised,
/// 5 legal order, 6 data quality, 7 replaced by a new grant.
struct Revoke {
    bytes32 grant;
    uint8 reason;
    uint40 deadline;
}

struct RevokeBatch {
    bytes32[] grants;
    uint8 reason;
    uint40 deadline;
}

/// @notice `grant` ends as revoked with reason 7. What was delegated from it lives on while `by` does: another grant of
/// the same right of the same asset to the same department.
struct ReplaceGrant {
    bytes32 grant;
    bytes32 by;
    uint40 deadline;
}

struct Cancel {
    bytes32 grant;
    uint40 deadline;
}

struct BreakGlass {
    uint64 asset;
    uint24 grantee;
    bytes32 reasonHash;
    uint40 until;
    uint40 deadline;
    uint64 salt;
}

struct Ratify {
    bytes32 grant;
    uint40 deadline;
}

/// @notice A grant as a light client wants it. `live`: active, in its time, not spent, asset alive; departments and
/// ancestors are checked by `isLive` with their terms. `spent`: nothing is left of a counted grant.
struct GrantView {
    uint8 state;
    uint8 flags;
    uint8 right;
    uint24 grantee;
    uint64 asset;
    uint40 notBefore;
    uint40 expiry;
    uint32 maxUses;
    uint32 uses;
    uint8 depth;
    bool mayDerive;
    bool spent;
    bool live;
}

/// @notice All that a gateway or light client asks before a read, in one answer. `live` is `isLive`'s answer;
/// `holderActive`: the department that holds the right is; `permitted`: live, for this department or anybody, by a
/// READER key valid now of an active department.
struct Access {
    bool permitted;
    bool live;
    bool holderActive;
    bool departmentActive;
    bool keyActive;
    uint8 keyRoles;
    uint40 time;
    GrantView grant;
    AssetView asset;
}

/// @title The one event that is written by hand (Grants._emitGranted)
interface IGranted {
    /// @notice Every field of the Terms; `officer` is the first signer, whose department is the grantor.
    event Granted(
        bytes32 indexed grant,
        uint64 indexed asset,
        uint24 indexed grantee,
        uint8 right,
        uint40 notBefore,
        uint40 expiry,
        uint32 maxUses,
        uint8 depth,
        uint40 deadline,
        bytes32 termsHash,
        bytes32 parent,
        uint64 salt,
        address officer
    );
}

/// @title Grants, in one slot each
/// @notice Created only by the signatures of the department that holds the right over the full Terms. The
/// slot is the replay guard. A standing offer (grantee 0) is unlimited, of unconditional data, and cannot be
/// delegated.
interface IGrants is IGranted {
    /// @notice The parent has `maxUses` left for itself after a delegation.
    event Deducted(bytes32 indexed parent, bytes32 indexed child, uint32 maxUses);
    /// @notice The grant is dead for ever; what was delegated from it lives on under `by`.
    event Replaced(bytes32 indexed grant, bytes32 indexed by, address officer);
    /// @notice A batch passed over this one: it is in this state (0 none, 2 revoked, 3 cancelled, 4 replaced), or, where
    /// it is active (1), the signer's department does not hold the right.
    event RevokeSkipped(bytes32 indexed grant, uint8 state);
    /// @notice The grant is dead for ever, and with it all that was delegated from it.
    event Revoked(bytes32 indexed grant, uint8 reason, address officer);
    /// @notice These terms can no longer be granted. Of the slot only state and asset are set.
    event Cancelled(bytes32 indexed grant, uint64 indexed asset, address officer);
    /// @notice An emergency grant, in force until `expiry`; unratified after `ratifyBy` the privilege is lost.
    event GlassBroken(
        bytes32 indexed grant,
        uint64 indexed asset,
        uint24 indexed grantee,
        bytes32 reasonHash,
        uint40 notBefore,
        uint40 expiry,
        uint40 ratifyBy,
        address officer
    );
    /// @notice The oversight of this other department approved the emergency.
    event Ratified(bytes32 indexed grant, uint24 indexed department, address officer);

    /// @notice The slot is taken, with this status: granted once, revoked or cancelled.
    error GrantExists(bytes32 grant, uint8 status);
    error GrantNotActive(bytes32 grant, uint8 status);
    error GrantNotYet(bytes32 grant, uint40 notBefore);
    error GrantExpired(bytes32 grant, uint40 expiry);
    error WindowInvalid(uint40 notBefore, uint40 expiry);
    /// @notice A grant allows at least one use.
    error UsesInvalid(uint32 maxUses);
    /// @notice A member does not fit its type.
    error TermsMalformed();
    /// @notice 不予共享: only an emergency opens it.
    error AssetNotShared(uint64 asset);
    /// @notice A standing offer is unlimited, not delegated on, of unconditional data.
    error OfferInvalid(uint32 maxUses, uint8 depth, uint8 sharing);
    /// @notice Terms with a parent go through `delegate`, those without through `grant`.
    error ParentWrong(bytes32 parent);
    /// @notice The terms supplied are not those of this grant.
    error ChainWrong(bytes32 need, bytes32 got);
    /// @notice The child is wider than its parent in field 1 asset, 2 right, 3 notBefore, 4 expiry, 5 depth,
    /// 6 uses, 7 deriving.
    error WiderThanParent(uint8 field);
    error BatchEmpty();
    /// @notice Nothing in the batch could be done.
    error NothingDone();
    /// @notice The total was not signed for this delegation: its `logHead` is not the delegation's id.
    error TotalForeign(bytes32 parent, bytes32 logHead);
    /// @notice The parent is counted: `delegateCounted` takes its last total with it.
    error TotalNeeded(bytes32 parent);
    /// @notice Another right, asset or grantee.
    error ReplacementDiffers(bytes32 grant, bytes32 by);
    error BreakGlassTooLong(uint40 until, uint40 most);
    /// @notice An act of the department was not ratified by `due`.
    error PrivilegeLost(uint24 department, uint40 due);
    /// @notice Six of the department, or two of this officer, wait for ratification.
    error TooManyOpenActs(uint24 department, address key);
    /// @notice An act of the department on this asset waits for ratification.
    error ActOpen(uint64 asset, uint24 department, uint40 due);
    /// @notice It may still be ratified until `due`.
    error RatificationOpen(bytes32 grant, uint40 due);
    error NotEmergency(bytes32 grant);
    error RatifyTooLate(bytes32 grant, uint40 due);
    error AlreadyRatified(bytes32 grant);
    /// @notice The ratifier's department is the breaker's.
    error RatifierNotIndependent(uint24 department);

    /// @notice One grant comes into force.
    /// @param signatures Over the Terms: the quorum of the asset's class.
    function grant(Terms calldata t, bytes[] calldata signatures) external returns (bytes32 id);

    /// @notice All by one department.
    /// @param signatures Over the GrantBatch: the quorum of the highest class in it.
    function grantBatch(GrantBatch calldata m, bytes[] calldata signatures) external;

    /// @notice The grantee of `t.parent` grants a part of it onward.
    /// @param chain The Terms of the parent, its parent, ... up to the root.
    /// @param signatures Over the Terms `t`: the quorum of the asset's class, of the delegating department.
    function delegate(Terms calldata t, Terms[] calldata chain, bytes[] calldata signatures)
        external
        returns (bytes32 id);

    /// @notice As `delegate`, from a counted grant: what is deducted is deducted from its total as of now.
    /// @param lastUse Of `t.parent`; recorded with it where it is higher.
    /// @param useSignature Over it, as in IUsage.
    function delegateCounted(
        Terms calldata t,
        Terms[] calldata chain,
        Use calldata lastUse,
        bytes[] calldata signatures,
        bytes calldata useSignature
    ) external returns (bytes32 id);

    /// @notice A grant ends for ever, and another takes its place.
    /// @param signature Of a STEWARD or CDO of the department that holds the right.
    function replaceGrant(ReplaceGrant calldata m, bytes calldata signature) external;

    /// @notice A grant ends for ever.
    /// @param signature Of a STEWARD or CDO of the department that holds the right.
    function revoke(Revoke calldata m, bytes calldata signature) external;

    /// @notice As `revoke`, also open to the department that delegated it.
    function revokeDelegated(Revoke calldata m, Terms calldata t, bytes calldata signature) external;

    /// @notice Many at once; delegated ones too. What cannot be revoked is passed over (`RevokeSkipped`).
    function revokeBatch(RevokeBatch calldata m, bytes calldata signature) external;

    /// @notice Kills terms that were signed and not sent.
    /// @param signature Of a STEWARD or CDO of the department that could have granted them.
    function cancel(Cancel calldata m, Terms calldata t, bytes calldata signature) external;

    /// @notice An EMERGENCY officer opens an asset for its own department for hours; core data also needs a
    /// BUREAU. The id is the struct hash of the message.
    function breakGlass(BreakGlass calldata m, bytes[] calldata signatures) external returns (bytes32 id);

    /// @notice Another department's oversight approves an emergency.
    /// @param signature Of an OVERSIGHT of another department, within 72 hours.
    function ratify(Ratify calldata m, bytes calldata signature) external;

    /// @notice A grant as it stands; state 0 where there is none.
    function grantOf(bytes32 id) external view returns (GrantView memory);

    /// @notice Whether it may be read under now: `live` of `grantOf`, ancestors included, every department active.
    /// @param chain Empty, or for a delegated grant its Terms, its parent's, ... up to the root.
    function isLive(bytes32 id, Terms[] calldata chain) external view returns (bool);

    /// @notice Whether this key of this department may read under this grant now, and why not.
    /// @param chain As for `isLive`.
    function access(bytes32 id, Terms[] calldata chain, uint24 department, bytes32 key)
        external
        view
        returns (Access memory);

    /// @notice `live` of `grantOf` for many: without regard to ancestors and departments.
    function liveOf(bytes32[] calldata ids) external view returns (bool[] memory);

    /// @notice The id of these terms, and the digest that an officer signs.
    function termsDigest(Terms calldata t) external view returns (bytes32 id, bytes32 digest);
}
