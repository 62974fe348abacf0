// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Departments} from "./Departments.sol";
import {
    AddAttestKey,
    AddOfficer,
    AddServiceKey,
    RemoveAttestKey,
    RemoveOfficer,
    RemoveServiceKey
} from "./interfaces/IOffices.sol";
import {SignatureCheck} from "./lib/SignatureCheck.sol";
import {StructHash} from "./lib/StructHash.sol";
import {
    ADMIN,
    GIVEN_BY_ADMIN,
    KEY_AUDITOR,
    KEY_CITY_AUDITOR,
    KEY_READER,
    MACHINES,
    MAY_SECOND,
    OVERSIGHT,
    PEOPLE,
    STEWARD
} from "./types/Codes.sol";
import {KeyWord, packKey} from "./types/KeyWord.sol";
import {OfficerWord, SEAT_REMOVED, SEAT_ROTATED, packOfficer} from "./types/OfficerWord.sol";

/// @title Officers, attest keys and service keys come and go (IOffices)
abstract contract Offices is Departments {
    bytes32 private constant ADD_OFFICER = keccak256(
        "AddOfficer(uint24 department,address officer,uint16 roles,uint40 notBefore,uint40 notAfter,uint40 deadline)"
    );
    bytes32 private constant REMOVE_OFFICER = keccak256("RemoveOfficer(address officer,uint40 deadline)");
    bytes32 private constant ADD_ATTEST_KEY = keccak256(
        "AddAttestKey(uint24 department,address key,uint16 roles,uint40 notBefore,uint40 notAfter,uint40 deadline)"
    );
    bytes32 private constant REMOVE_ATTEST_KEY = keccak256("RemoveAttestKey(address key,uint40 deadline)");
    bytes32 private constant ADD_SERVICE_KEY = keccak256(
        "AddServiceKey(uint24 department,bytes32 key,bytes32 hpke,uint8 roles,uint40 notBefore,uint40 notAfter,uint40 deadline)"
    );
    bytes32 private constant REMOVE_SERVICE_KEY =
        keccak256("RemoveServiceKey(uint24 department,bytes32 key,uint40 deadline)");

    // ---- Acts ------------------------------------------------------------------------------------------------

    /// @dev IOffices
    function addOfficer(AddOfficer calldata m, bytes[] calldata authority, bytes calldata possession) external {
        _add(ADD_OFFICER, MACHINES, m, authority, possession);
    }

    /// @dev IOffices
    function addAttestKey(AddAttestKey calldata m, bytes[] calldata authority, bytes calldata possession) external {
        AddOfficer calldata same;
        assembly ("memory-safe") {
            same := m
        }
        _add(ADD_ATTEST_KEY, PEOPLE, same, authority, possession);
    }

    /// @dev IOffices
    function removeOfficer(RemoveOfficer calldata m, bytes[] calldata authority) external {
        uint256 at;
        assembly ("memory-safe") {
            at := m
        }
        _requireInTime(m.deadline);
        uint24 department = _unseat(_digest(StructHash.flat(REMOVE_OFFICER, at, 2)), authority, m.officer, PEOPLE);
        emit OfficerRemoved(m.officer, department);
    }

    /// @dev IOffices
    function removeAttestKey(RemoveAttestKey calldata m, bytes[] calldata authority) external {
        uint256 at;
        assembly ("memory-safe") {
            at := m
        }
        _requireInTime(m.deadline);
        uint24 department = _unseat(_digest(StructHash.flat(REMOVE_ATTEST_KEY, at, 2)), authority, m.key, MACHINES);
        emit AttestKeyRemoved(m.key, department);
    }

    /// @dev IOffices
    function addServiceKey(AddServiceKey calldata m, bytes[] calldata authority) external {
        uint256 at;
        assembly ("memory-safe") {
            at := m
        }
        _requireInTime(m.deadline);
        _requireRunning();
        _requireKeyGiver(_digest(StructHash.flat(ADD_SERVICE_KEY, at, 7)), authority, m.department, m.roles);
        _requireActive(m.department);
        _addServiceKey(m.department, m.key, m.hpke, m.roles, m.notBefore, m.notAfter);
    }

    /// @dev IOffices
    function removeServiceKey(RemoveServiceKey calldata m, bytes[] calldata authority) external {
        uint256 at;
        assembly ("memory-safe") {
            at := m
        }
        _requireInTime(m.deadline);
        KeySlot storage slot = _serviceKeys[m.department][m.key];
        KeyWord word = slot.word;
        if (word.isEmpty() || word.flags() != 0) revert KeyUnknown(m.department, m.key);
        _requireKeyGiver(
            _digest(StructHash.flat(REMOVE_SERVICE_KEY, at, 3)), authority, m.department, word.roles()
        );
        slot.word = word.removed();
        emit ServiceKeyRemoved(m.department, m.key);
    }

    // ---- Views -----------------------------------------------------------------------------------------------

    /// @dev IOffices
    function serviceKey(uint24 department, bytes32 key)
        external
        view
        returns (bytes32 hpke, uint8 roles, uint40 notBefore, uint40 notAfter, uint8 flags, bool active)
    {
        KeySlot storage slot = _serviceKeys[department][key];
        KeyWord word = slot.word;
        active = word.isValid(block.timestamp) && _standing(department) == 1;
        return (slot.hpke, word.roles(), word.notBefore(), word.notAfter(), word.flags(), active);
    }

    // ---- Rules -----------------------------------------------------------------------------------------------

    /// @dev A seat for a person or a machine: the two messages have the same members, under other names.
    /// @param others Roles that this message does not give.
    function _add(
        bytes32 typeHash,
        uint16 others,
        AddOfficer calldata m,
        bytes[] calldata authority,
        bytes calldata possession
    ) private {
        uint256 at;
        assembly ("memory-safe") {
            at := m
        }
        if (m.roles & others != 0) revert RolesInvalid(m.roles);
        _requireInTime(m.deadline);
        bytes32 digest = _digest(StructHash.flat(typeHash, at, 6));
        _requireGiver(digest, authority, m.department, m.roles);
        _requirePossession(digest, possession, m.officer);
        _seat(m.department, m.officer, m.roles, m.notBefore, m.notAfter);
    }

    /// @dev One officer with this role in the department, or a quorum of the council.
    /// @param count How many officers sign; those after the first are the caller's to judge.
    /// @return signer The first officer; zero for the council.
    function _requireAuthority(
        bytes32 digest,
        bytes[] calldata authority,
        uint24 department,
        uint16 role,
        uint256 count
    ) private view returns (address signer) {
        if (authority.length == count) {
            signer = SignatureCheck.recoverAt(digest, authority, 0);
            if (_memberPlace[signer] == 0) {
                _requireSeatIn(signer, department, role);
                return signer;
            }
        }
        _checkCouncil(digest, authority);
        return address(0);
    }

    /// @dev No role gives itself more: an ADMIN gives STEWARD, FINANCE and ATTEST; the council the rest. One stolen
    /// key seats nobody who grants: beside the ADMIN another ADMIN, STEWARD or CDO of the department signs.
    function _requireGiver(bytes32 digest, bytes[] calldata authority, uint24 department, uint16 roles)
        private
        view
    {
        _requireRunning();
        bool grants = roles & STEWARD != 0;
        address signer = _requireAuthority(digest, authority, department, ADMIN, grants ? 2 : 1);
        if (signer != address(0)) {
            if (roles & ~GIVEN_BY_ADMIN != 0) revert RolesNotGivable(signer, roles);
            if (grants && _signedByEither(digest, authority[1], department, MAY_SECOND) == signer) {
                revert SignerRepeated(signer);
            }
        }
        _requireActive(department);
    }

    /// @dev An ADMIN gives READER (1), an OVERSIGHT gives AUDITOR (2) of the own department, the council the rest.
    function _requireKeyGiver(bytes32 digest, bytes[] calldata authority, uint24 department, uint8 roles)
        private
        view
    {
        address signer = _requireAuthority(digest, authority, department, roles == KEY_AUDITOR ? OVERSIGHT : ADMIN, 1);
        if (signer != address(0) && roles > KEY_AUDITOR) {
            revert RolesNotGivable(signer, roles);
        }
    }

    function _requirePossession(bytes32 digest, bytes calldata signature, address needs) internal pure {
        address signer = SignatureCheck.recover(digest, signature);
        if (signer != needs) revert PossessionMissing(needs, signer);
    }

    function _requireFresh(address holder) internal view {
        if (!_seats[holder].isEmpty() || _memberPlace[holder] != 0) revert AddressTaken(holder);
    }

    /// @dev An address sits once, in one department, as a person or as a machine.
    function _seat(uint24 department, address holder, uint16 roles, uint40 notBefore, uint40 notAfter) internal {
        bool people = roles & PEOPLE != 0;
        if (roles == 0 || roles & ~(PEOPLE | MACHINES) != 0 || (people && roles & MACHINES != 0)) {
            revert RolesInvalid(roles);
        }
        if (notAfter < notBefore || notAfter < block.timestamp) revert TermInvalid(notBefore, notAfter);
        _requireFresh(holder);
        _seats[holder] = packOfficer(department, roles, notBefore, notAfter, 0);
        if (people) emit OfficerAdded(holder, department, roles, notBefore, notAfter);
        else emit AttestKeyAdded(holder, department, roles, notBefore, notAfter);
    }

    function _addServiceKey(
        uint24 department,
        bytes32 key,
        bytes32 hpke,
        uint8 roles,
        uint40 notBefore,
        uint40 notAfter
    ) internal {
        if (roles == 0 || roles > (KEY_READER | KEY_AUDITOR | KEY_CITY_AUDITOR)) revert RolesInvalid(roles);
        if (notAfter < notBefore || notAfter < block.timestamp) revert TermInvalid(notBefore, notAfter);
        KeySlot storage slot = _serviceKeys[department][key];
        if (!slot.word.isEmpty()) revert KeyTaken(department, key);
        slot.word = packKey(roles, notBefore, notAfter);
        slot.hpke = hpke;
        emit ServiceKeyAdded(department, key, hpke, roles, notBefore, notAfter);
    }

    /// @dev Itself, an ADMIN for the roles an ADMIN may give, or the council. Never blocked.
    function _unseat(bytes32 digest, bytes[] calldata authority, address holder, uint16 kind)
        private
        returns (uint24 department)
    {
        OfficerWord seat = _seats[holder];
        if (seat.roles() & kind == 0 || seat.flags() & (SEAT_REMOVED | SEAT_ROTATED) != 0) revert NotInOffice(holder);
        department = seat.department();
        bool itself = authority.length == 1 && SignatureCheck.recoverAt(digest, authority, 0) == holder;
        if (!itself) {
            address signer = _requireAuthority(digest, authority, department, ADMIN, 1);
            if (signer != address(0) && seat.roles() & ~GIVEN_BY_ADMIN != 0) {
                revert RolesNotGivable(signer, seat.roles());
            }
        }
        _seats[holder] = seat.withFlag(SEAT_REMOVED);
    }
}
