// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @notice A tree head as its log signs it. Witnesses sign the same.
struct TreeHead {
    bytes32 origin;
    uint64 size;
    bytes32 root;
    uint40 deadline;
}

/// @notice Opens a log at size 0.
struct OpenLog {
    bytes32 origin;
    uint24 operator;
    uint8 quorum;
    uint32 epoch;
    uint40 deadline;
}

/// @notice Closes a log and continues it under a new origin, after a lossy restore or a stolen key.
/// `lastSize` and `lastRoot` are the head up to which the council vouches for the old log: the new one starts
/// there. Entries beyond it may be lost, so the chain cannot insist on a proof: it asks the council, takes a proof where
/// there is one, and refuses a size above the anchored one, or another root at the anchored size.
struct NewEpoch {
    bytes32 origin;
    uint64 lastSize;
    bytes32 lastRoot;
    bytes32 newOrigin;
    uint24 operator;
    uint8 quorum;
    string reason;
    uint32 epoch;
    uint40 deadline;
}

/// @notice All that the chain knows of a log. `successor` is the origin that continues it, 0 while it is open.
struct LogState {
    uint64 size;
    bytes32 root;
    uint40 time;
    uint32 epoch;
    uint24 operator;
    uint8 quorum;
    bool open;
    bytes32 successor;
}

/// @title Anchored heads of audit logs
/// @notice Keeps, for every log, the size and root of its latest tree head. A head is accepted only when an
/// attest key of the department that operates the log signed it, as many witnesses signed as the council asked
/// for, and it is proved on chain to extend the head before it. So whoever holds the operator's key can append,
/// and can neither take back nor rewrite.
///
/// A log is named by its origin: SHA-256 of the origin line of its C2SP checkpoints. Roots are RFC 6962.
interface IAuditAnchor {
    /// @notice The council opened a log; it stands at size 0 with the root of nothing.
    event LogOpened(bytes32 indexed origin, uint24 indexed operator, uint8 quorum, uint40 time);

    /// @notice A head was anchored; these events are the history of the log.
    /// @param key The operator's attest key that signed.
    /// @param witnesses The departments that witnessed, 24 bits each, the last one lowest; at most ten.
    event Anchored(
        bytes32 indexed origin,
        uint64 size,
        bytes32 root,
        uint32 epoch,
        uint40 time,
        address key,
        uint256 witnesses
    );

    /// @notice The council closed `origin` at a head it vouches for, and `newOrigin` continues from there.
    /// @param abandonedSize The anchored size that was given up: entries from `lastSize` on are disowned.
    /// @param proven Whether the head that goes on was proven here to be the beginning of the anchored one; otherwise
    /// the council alone vouches for it.
    event EpochOpened(
        bytes32 indexed origin,
        bytes32 indexed newOrigin,
        uint64 lastSize,
        bytes32 lastRoot,
        uint64 abandonedSize,
        bytes32 abandonedRoot,
        uint32 epoch,
        uint24 operator,
        uint8 quorum,
        uint40 time,
        bool proven,
        string reason
    );

    error LogUnknown(bytes32 origin);
    error LogExists(bytes32 origin);
    error LogClosed(bytes32 origin, bytes32 successor);
    error OriginMissing();
    error OperatorMissing();
    /// @notice The log stands at this very head already.
    error AlreadyAnchored(bytes32 origin, uint64 size);
    /// @notice Another root at the anchored size: somebody signed two histories.
    error Forked(bytes32 origin, uint64 size, bytes32 root, bytes32 anchoredRoot);
    /// @notice A head smaller than the anchored one.
    error RolledBack(bytes32 origin, uint64 size, uint64 anchoredSize);
    /// @notice A head more than 2^32 entries beyond the anchored one.
    error GrowsTooMuch(bytes32 origin, uint64 anchoredSize, uint64 size);
    /// @notice The proof does not show that the new head extends the anchored one, or that the anchored one extends
    /// the head that a new epoch goes on from.
    error Inconsistent(bytes32 origin, uint64 anchoredSize, uint64 size);
    /// @notice The first signature is not by an attest key of the operator that is in office; whether the department is
    /// suspended is not asked.
    error NotOperator(bytes32 origin, address key, uint24 department, uint24 operator);
    /// @notice Not an active attest key with the role WITNESS.
    error NotWitness(address key, uint24 department, uint16 roles);
    /// @notice Witnesses sign in ascending order of department, so that each department counts once.
    error WitnessOrder(uint24 department, uint24 previous);
    /// @notice The operator's own department is no witness of its log.
    error WitnessIsOperator(uint24 department);
    error TooFewWitnesses(bytes32 origin, uint256 have, uint8 need);
    error TooManyWitnesses(bytes32 origin, uint256 have, uint256 most);
    /// @notice The council named a size that was never anchored.
    error EpochBeyondHead(bytes32 origin, uint64 lastSize, uint64 anchoredSize);

    // What the ledger answers when asked about the council, passed through; declared so that clients can name it.

    error NotCouncil(address signer);
    error CouncilQuorum(uint256 have, uint256 need);
    error SignerRepeated(address signer);

    /// @notice Open a log. Anyone may submit.
    /// @param council A quorum of the council.
    function openLog(OpenLog calldata m, bytes[] calldata council) external;

    /// @notice Anchor the next head of a log. Anyone may submit; no pause stops it.
    /// @param proof RFC 6962 consistency proof from the anchored size to `m.size`; empty for a first head.
    /// @param signatures The operator's, then those of witnesses by ascending department: 65 bytes each, one after
    /// another.
    function anchor(TreeHead calldata m, bytes32[] calldata proof, bytes calldata signatures) external;

    /// @notice Close a log and continue it under a new origin. Anyone may submit; no pause stops it.
    /// @param proof RFC 6962 consistency proof from `m.lastSize` to the anchored size; empty where nobody has it.
    /// @param council A quorum of the council.
    function newEpoch(NewEpoch calldata m, bytes32[] calldata proof, bytes[] calldata council) external;

    /// @notice The state of a log; reverts with LogUnknown when it was never opened.
    function logState(bytes32 origin) external view returns (LogState memory);

    /// @notice The states of several logs in one call; one never opened has operator 0.
    function logStates(bytes32[] calldata origins) external view returns (LogState[] memory);

    /// @notice Follows successors to the log that is open now: its origin and its state.
    function currentLog(bytes32 origin) external view returns (bytes32 openOrigin, LogState memory);

    /// @notice Whether a checkpoint somebody holds belongs to the history that is anchored: a smaller one must be
    /// extended by the anchored head, a larger one must extend it.
    /// @param proof RFC 6962 consistency proof between the two sizes; empty when they are equal.
    function isConsistent(bytes32 origin, uint64 size, bytes32 root, bytes32[] calldata proof)
        external
        view
        returns (bool);

    /// @notice The EIP-712 digest that operator and witnesses sign.
    function treeHeadDigest(TreeHead calldata m) external view returns (bytes32);
}
