// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IAuditAnchor, LogState, NewEpoch, OpenLog, TreeHead} from "./interfaces/IAuditAnchor.sol";
import {IDepartments} from "./interfaces/IDepartments.sol";
import {IWords, LedgerWords} from "./lib/LedgerWords.sol";
import {Rfc6962} from "./lib/Rfc6962.sol";
import {SaltedDomain} from "./lib/SaltedDomain.sol";
import {SignatureCheck} from "./lib/SignatureCheck.sol";
import {StructHash} from "./lib/StructHash.sol";
import {ATTEST, WITNESS} from "./types/Codes.sol";
import {OfficerWord} from "./types/OfficerWord.sol";
import {HeadWord, LOG_CLOSED, LOG_OPEN, LOG_UNKNOWN, packHead} from "./types/HeadWord.sol";

/// @title Anchored heads of audit logs
/// @notice See IAuditAnchor for what it promises.
contract AuditAnchor is IAuditAnchor, SaltedDomain {
    bytes32 private constant TREE_HEAD_TYPEHASH =
        keccak256("TreeHead(bytes32 origin,uint64 size,bytes32 root,uint40 deadline)");
    bytes32 private constant OPEN_LOG_TYPEHASH =
        keccak256("OpenLog(bytes32 origin,uint24 operator,uint8 quorum,uint32 epoch,uint40 deadline)");
    bytes32 private constant NEW_EPOCH_TYPEHASH = keccak256(
        "NewEpoch(bytes32 origin,uint64 lastSize,bytes32 lastRoot,bytes32 newOrigin,uint24 operator,uint8 quorum,string reason,uint32 epoch,uint40 deadline)"
    );

    uint256 private constant SIGNATURE = 65;
    /// @dev Entries by which a log can grow between two anchors: no log does, and a stolen key burns no more.
    uint256 private constant MOST_GROWTH = 1 << 32;
    /// @dev As many departments of 24 bits as fit one word of the event.
    uint256 private constant MOST_WITNESSES = 10;

    /// @notice Who holds which key, and who sits in the council.
    IDepartments public immutable departments;

    struct Head {
        HeadWord word;
        bytes32 root;
    }

    mapping(bytes32 origin => Head) private _heads;
    mapping(bytes32 origin => bytes32) private _successors;

    constructor(IDepartments departments_)
        SaltedDomain("Civic Ledger AuditAnchor", "1", departments_.salt(), address(this))
    {
        departments = departments_;
    }

    // ---- acts ----------------------------------------------------------------------------------------------------

    /// @inheritdoc IAuditAnchor
    function openLog(OpenLog calldata m, bytes[] calldata council) external {
        _requireInTime(m.deadline);
        departments.checkCouncil(_digest(keccak256(abi.encode(OPEN_LOG_TYPEHASH, m))), m.epoch, council);
        _begin(m.origin, 0, Rfc6962.EMPTY_ROOT, 0, m.operator, m.quorum);
        emit LogOpened(m.origin, m.operator, m.quorum, uint40(block.timestamp));
    }

    /// @inheritdoc IAuditAnchor
    function anchor(TreeHead calldata m, bytes32[] calldata proof, bytes calldata signatures) external {
        _requireInTime(m.deadline);
        Head storage head = _heads[m.origin];
        HeadWord word = _requireOpen(m.origin, head.word);
        _requireNext(m, word, head.root, proof);
        (address key, uint256 witnesses) = _requireSigned(m, word, signatures);

        head.word = word.advanced(m.size, uint40(block.timestamp));
        head.root = m.root;
        emit Anchored(m.origin, m.size, m.root, word.epoch(), uint40(block.timestamp), key, witnesses);
    }

    /// @inheritdoc IAuditAnchor
    function newEpoch(NewEpoch calldata m, bytes32[] calldata proof, bytes[] calldata council) external {
        _requireInTime(m.deadline);
        Head storage head = _heads[m.origin];
        HeadWord word = _requireOpen(m.origin, head.word);
        departments.checkCouncil(_digest(_newEpochHash(m)), m.epoch, council);

        bytes32 root = head.root;
        uint64 size = word.size();
        if (m.lastSize > size) revert EpochBeyondHead(m.origin, m.lastSize, size);
        if (m.lastSize == size && m.lastRoot != root) revert Forked(m.origin, size, m.lastRoot, root);
        if (m.lastSize == 0 && m.lastRoot != Rfc6962.EMPTY_ROOT) {
            revert Forked(m.origin, 0, m.lastRoot, Rfc6962.EMPTY_ROOT);
        }
        // The first and the last head need no hashes. After a lossy restore nobody may have those of another one.
        bool proven = proof.length != 0 || m.lastSize == size || m.lastSize == 0;
        if (proven && !Rfc6962.isConsistent(m.lastSize, m.lastRoot, size, root, proof)) {
            revert Inconsistent(m.origin, size, m.lastSize);
        }

        uint32 epoch = word.epoch() + 1;
        _begin(m.newOrigin, m.lastSize, m.lastRoot, epoch, m.operator, m.quorum);
        head.word = word.closed();
        _successors[m.origin] = m.newOrigin;
        emit EpochOpened(
            m.origin,
            m.newOrigin,
            m.lastSize,
            m.lastRoot,
            size,
            root,
            epoch,
            m.operator,
            m.quorum,
            uint40(block.timestamp),
            proven,
            m.reason
        );
    }

    // ---- views ---------------------------------------------------------------------------------------------------

    /// @inheritdoc IAuditAnchor
    function logState(bytes32 origin) external view returns (LogState memory) {
        if (_heads[origin].word.state() == LOG_UNKNOWN) revert LogUnknown(origin);
        return _log(origin);
    }

    /// @inheritdoc IAuditAnchor
    function logStates(bytes32[] calldata origins) external view returns (LogState[] memory found) {
        found = new LogState[](origins.length);
        for (uint256 i = 0; i < origins.length; ++i) {
            found[i] = _log(origins[i]);
        }
    }

    /// @inheritdoc IAuditAnchor
    function currentLog(bytes32 origin) external view returns (bytes32 openOrigin, LogState memory) {
        openOrigin = origin;
        while (_heads[openOrigin].word.state() == LOG_CLOSED) {
            openOrigin = _successors[openOrigin];
        }
        if (_heads[openOrigin].word.state() == LOG_UNKNOWN) revert LogUnknown(origin);
        return (openOrigin, _log(openOrigin));
    }

    /// @inheritdoc IAuditAnchor
    function isConsistent(bytes32 origin, uint64 size, bytes32 root, bytes32[] calldata proof)
        external
        view
        returns (bool)
    {
        HeadWord word = _heads[origin].word;
        bytes32 anchored = _heads[origin].root;
        if (word.state() == LOG_UNKNOWN) revert LogUnknown(origin);
        if (size <= word.size()) return Rfc6962.isConsistent(size, root, word.size(), anchored, proof);
        return Rfc6962.isConsistent(word.size(), anchored, size, root, proof);
    }

    /// @inheritdoc IAuditAnchor
    function treeHeadDigest(TreeHead calldata m) public view returns (bytes32) {
        uint256 at;
        assembly ("memory-safe") {
            at := m
        }
        return _digest(StructHash.flat(TREE_HEAD_TYPEHASH, at, 4));
    }

    // ---- rules ---------------------------------------------------------------------------------------------------

    /// @dev The head goes forward, and the proof shows that nothing before it changed.
    function _requireNext(TreeHead calldata m, HeadWord word, bytes32 root, bytes32[] calldata proof) private view {
        uint64 size = word.size();
        if (m.size < size) revert RolledBack(m.origin, m.size, size);
        if (m.size == size) {
            if (m.root != root) revert Forked(m.origin, size, m.root, root);
            revert AlreadyAnchored(m.origin, size);
        }
        if (m.size - size > MOST_GROWTH) revert GrowsTooMuch(m.origin, size, m.size);
        if (!Rfc6962.isConsistent(size, root, m.size, m.root, proof)) revert Inconsistent(m.origin, size, m.size);
    }

    /// @dev Witnesses beyond the quorum are welcome, but each must be right: none is passed over.
    /// @return key the operator's
    /// @return witnesses as in the event
    function _requireSigned(TreeHead calldata m, HeadWord word, bytes calldata signatures)
        private
        view
        returns (address key, uint256 witnesses)
    {
        uint256 count = signatures.length / SIGNATURE;
        if (count == 0 || count * SIGNATURE != signatures.length) {
            revert SignatureLength(signatures.length, SIGNATURE * (uint256(word.quorum()) + 1));
        }
        if (count <= word.quorum()) revert TooFewWitnesses(m.origin, count - 1, word.quorum());
        if (count - 1 > MOST_WITNESSES) revert TooManyWitnesses(m.origin, count - 1, MOST_WITNESSES);

        bytes32 digest = treeHeadDigest(m);
        uint24 operator = word.operator();
        key = _signer(digest, signatures, 0);
        // The seat alone: who suspends the operator's department does not stop the log.
        OfficerWord seat = LedgerWords.seat(IWords(address(departments)), key);
        if (!seat.serves(block.timestamp, operator, ATTEST)) {
            revert NotOperator(m.origin, key, seat.department(), operator);
        }

        uint24 previous = 0;
        for (uint256 i = 1; i < count; ++i) {
            address witness = _signer(digest, signatures, i);
            (uint24 department, uint16 roles, bool active) = departments.attestKey(witness);
            if (!active || roles & WITNESS == 0) revert NotWitness(witness, department, roles);
            if (department == operator) revert WitnessIsOperator(department);
            if (department <= previous) revert WitnessOrder(department, previous);
            witnesses = witnesses << 24 | department;
            previous = department;
        }
    }

    /// @dev `index` is below the number of signatures that the caller counted.
    function _signer(bytes32 digest, bytes calldata signatures, uint256 index) private pure returns (address) {
        bytes calldata signature;
        assembly ("memory-safe") {
            signature.offset := add(signatures.offset, mul(index, SIGNATURE))
            signature.length := SIGNATURE
        }
        return SignatureCheck.recover(digest, signature);
    }

    // ---- inside --------------------------------------------------------------------------------------------------

    function _requireOpen(bytes32 origin, HeadWord word) private view returns (HeadWord) {
        if (word.state() == LOG_UNKNOWN) revert LogUnknown(origin);
        if (word.state() == LOG_CLOSED) revert LogClosed(origin, _successors[origin]);
        return word;
    }

    function _begin(bytes32 origin, uint64 size, bytes32 root, uint32 epoch, uint24 operator, uint8 quorum) private {
        if (origin == 0) revert OriginMissing();
        if (operator == 0) revert OperatorMissing();
        if (quorum > MOST_WITNESSES) revert TooManyWitnesses(origin, quorum, MOST_WITNESSES);
        if (_heads[origin].word.state() != LOG_UNKNOWN) revert LogExists(origin);
        _heads[origin] = Head(packHead(size, uint40(block.timestamp), epoch, operator, quorum), root);
    }

    function _log(bytes32 origin) private view returns (LogState memory) {
        HeadWord word = _heads[origin].word;
        return LogState({
            size: word.size(),
            root: _heads[origin].root,
            time: word.time(),
            epoch: word.epoch(),
            operator: word.operator(),
            quorum: word.quorum(),
            open: word.state() == LOG_OPEN,
            successor: _successors[origin]
        });
    }

    function _newEpochHash(NewEpoch calldata m) private pure returns (bytes32) {
        return keccak256(
            abi.encode(
                NEW_EPOCH_TYPEHASH,
                m.origin,
                m.lastSize,
                m.lastRoot,
                m.newOrigin,
                m.operator,
                m.quorum,
                keccak256(bytes(m.reason)),
                m.epoch,
                m.deadline
            )
        );
    }
}
