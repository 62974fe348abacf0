// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {AssetWord} from "./types/AssetWord.sol";
import {CouncilWord} from "./types/CouncilWord.sol";
import {DeptWord} from "./types/DeptWord.sol";
import {EmergencyWord} from "./types/EmergencyWord.sol";
import {GrantWord} from "./types/GrantWord.sol";
import {GuardWord} from "./types/GuardWord.sol";
import {KeyWord} from "./types/KeyWord.sol";
import {OfficerWord} from "./types/OfficerWord.sol";

/// @title Every slot of the ledger
/// @notice SharingLedger and its Governance part run on this one layout; both inherit it first, and the build
/// checks that the compiler laid it out alike.
abstract contract LedgerState {
    /// @dev A struct of one member, so that code can hold the slot and hash its key once.
    struct GrantSlot {
        GrantWord word;
    }

    struct KeySlot {
        KeyWord word;
        bytes32 hpke;
    }

    /// @dev readyAt is 0 when there is none. `id` is the struct hash of its message.
    /// Once the seat has passed on, `to` is who holds it.
    struct RecoverySlot {
        address to;
        uint40 readyAt;
        bool vetoed;
        uint32 epoch;
        bytes32 id;
    }

    /// @dev readyAt is 0 for an unknown one, otherwise when it may be activated; 2^40-1 used or cancelled.
    struct AdmissionSlot {
        uint40 readyAt;
        uint32 epoch;
    }

    /// @dev The break-glass act on one asset by one department that waits for ratification; `due` is 0 when none does.
    struct OpenActSlot {
        address key;
        uint40 due;
    }

    struct Lineage {
        uint64[] parents;
        bytes32[] under;
    }

    mapping(address holder => OfficerWord) internal _seats;
    /// Key: department >> 6.
    mapping(uint256 group => DeptWord) internal _standings;
    mapping(uint64 asset => AssetWord) internal _assets;
    mapping(bytes32 id => GrantSlot) internal _grants;
    GuardWord internal _guard;
    /// Messages without a slot of their own that have changed the state.
    mapping(bytes32 structHash => bool) internal _done;

    mapping(uint64 asset => Lineage) internal _lineages;
    /// The grant under which the children of a replaced one live on.
    mapping(bytes32 grant => bytes32) internal _replacedBy;
    mapping(uint24 department => EmergencyWord) internal _emergencies;

    CouncilWord internal _council;
    address[] internal _members;
    /// Place in `_members` plus 1; 0 is a stranger.
    mapping(address member => uint256) internal _memberPlace;

    mapping(uint24 department => address) internal _recoveryKeys;
    mapping(uint24 department => mapping(bytes32 key => KeySlot)) internal _serviceKeys;
    mapping(address from => RecoverySlot) internal _recoveries;
    mapping(bytes32 admission => AdmissionSlot) internal _admissions;
    /// Key: asset << 24 | department.
    mapping(uint256 assetAndDepartment => OpenActSlot) internal _openActs;
    mapping(address key => uint256) internal _openActsOf;

    address internal _successor;
    /// The struct hash of the last hand-over that was announced; the guard's word says whether it stands.
    bytes32 internal _handOver;
    /// Of an EMERGENCY seat that passed on: the key that held it first, under which its open acts are counted.
    mapping(address key => address) internal _firstKeys;
}
