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
    CDO,
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
        "AddOfficer(uint24 department,address officer,uint16 roles,uint40 notBefore,uint40 notAfter,uint32 epoch,uint40 deadline)"
    );
    bytes32 private constant REMOVE_OFFICER = keccak256("RemoveOfficer(address officer,uint32 epoch,uint40 deadline)");
    bytes32 private constant ADD_ATTEST_KEY = keccak256(
        "AddAttestKey(uint24 department,address key,uint16 roles,uint40 notBefore,uint40 notAfter,uint32 epoch,uint40 deadline)"
    );
    bytes32 private constant REMOVE_ATTEST_KEY = keccak256("RemoveAttestKey(address key,uint32 epoch,uint40 deadline)");
    bytes32 private constant ADD_SERVICE_KEY = keccak256(
        "AddServiceKey(uint24 department,bytes32 key,bytes32 hpke,uint8 roles,uint40 notBefore,uint40 notAfter,uint32 epoch,uint40 deadline)"
    );
    bytes32 private constant REMOVE_SERVICE_KEY =
        keccak256("RemoveServiceKey(uint24 department,bytes32 key,uint32 epoch,uint40 deadline)");

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
        (address holder, uint24 department) =
            _unseat(_digest(StructHash.flat(REMOVE_OFFICER, at, 3)), m.epoch, authority, m.officer, PEOPLE);
        emit OfficerRemoved(holder, department);
    }

    /// @dev IOffices
    function removeAttestKey(RemoveAttestKey calldata m, bytes[] calldata authority) external {
        uint256 at;
        assembly ("memory-safe") {
            at := m
        }
        _requireInTime(m.deadline);
        (address holder, uint24 department) =
            _unseat(_digest(StructHash.flat(REMOVE_ATTEST_KEY, at, 3)), m.epoch, authority, m.key, MACHINES);
        emit AttestKeyRemoved(holder, department);
    }

    /// @dev IOffices
    function addServiceKey(AddServiceKey calldata m, bytes[] calldata authority) external {
        uint256 at;
        assembly ("memory-safe") {
            at := m
        }
        _requireInTime(m.deadline);
        _requireRunning();
        (address giver, bool alone) = _requireAuthority(
            _digest(StructHash.flat(ADD_SERVICE_KEY, at, 8)), m.epoch, authority, m.department, _watchman(m.roles), 1
        );
        if (giver != address(0) && m.roles > KEY_AUDITOR) revert RolesNotGivable(giver, m.roles);
        _requireActive(m.department);
        uint40 start = alone ? _afterDelay(m.notBefore) : m.notBefore;
        _addServiceKey(m.department, m.key, m.hpke, m.roles, start, m.notAfter);
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
        _requireClean(m.epoch);
        bytes32 digest = _digest(StructHash.flat(REMOVE_SERVICE_KEY, at, 4));
        if (!_vetoes(digest, authority, m.department, word.notBefore())) {
            uint8 roles = word.roles();
            (address taker,) =
                _requireAuthority(digest, m.epoch, authority, m.department, _watchman(roles), 1);
            if (taker != address(0) && roles & KEY_CITY_AUDITOR != 0) revert RolesNotGivable(taker, roles);
        }
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
        bytes32 digest = _digest(StructHash.flat(typeHash, at, 7));
        bool alone = _requireGiver(digest, authority, m);
        _requirePossession(digest, possession, m.officer);
        uint40 start = alone && m.roles & PEOPLE != 0 ? _afterDelay(m.notBefore) : m.notBefore;
        if (_seats[m.officer].isEmpty()) _seat(m.department, m.officer, m.roles, start, m.notAfter);
        else _renew(m, start);
    }

    /// @dev One officer with this role in the department, or a quorum of the council, with an ADMIN of the department
    /// behind it or without.
    /// @param count How many officers sign; those after the first are the caller's to judge.
    /// @return signer The first officer; zero for the council.
    /// @return alone The council signed, and nobody of the department.
    function _requireAuthority(
        bytes32 digest,
        uint32 epoch,
        bytes[] calldata authority,
        uint24 department,
        uint16 role,
        uint256 count
    ) private view returns (address signer, bool alone) {
        if (authority.length == count) {
            signer = SignatureCheck.recoverAt(digest, authority, 0);
            if (_memberPlace[signer] == 0) {
                _requireSeatIn(signer, department, role);
                return (signer, false);
            }
        }
        alone = true;
        uint256 last = authority.length;
        if (last > 1) {
            address second = SignatureCheck.recoverAt(digest, authority, last - 1);
            if (_memberPlace[second] == 0) {
                _requireSeatIn(second, department, ADMIN);
                alone = false;
                assembly ("memory-safe") {
                    authority.length := sub(last, 1)
                }
            }
        }
        _checkCouncil(digest, epoch, authority);
        return (address(0), alone);
    }

    /// @dev No role gives itself more: an ADMIN gives STEWARD, FINANCE and ATTEST; the council the rest. One stolen
    /// key seats nobody who grants: beside the ADMIN another ADMIN, STEWARD or CDO of the department signs.
    function _requireGiver(bytes32 digest, bytes[] calldata authority, AddOfficer calldata m)
        private
        view
        returns (bool alone)
    {
        _requireRunning();
        bool grants = m.roles & STEWARD != 0;
        address signer;
        (signer, alone) = _requireAuthority(digest, m.epoch, authority, m.department, ADMIN, grants ? 2 : 1);
        if (signer != address(0)) {
            if (m.roles & ~GIVEN_BY_ADMIN != 0) revert RolesNotGivable(signer, m.roles);
            if (grants && _signedByEither(digest, authority[1], m.department, MAY_SECOND) == signer) {
                revert SignerRepeated(signer);
            }
        }
        _requireActive(m.department);
    }

    /// @dev Who gives and takes a service key: OVERSIGHT what audits, an ADMIN the rest. Who is audited does not
    /// choose the auditor.
    function _watchman(uint8 roles) private pure returns (uint16) {
        return roles & KEY_AUDITOR != 0 ? OVERSIGHT : ADMIN;
    }

    /// @dev What the council alone gives to a department that is there begins after the admission delay.
    function _afterDelay(uint40 notBefore) private view returns (uint40) {
        uint40 start = uint40(block.timestamp) + _council.admissionDelay();
        return notBefore > start ? notBefore : start;
    }

    /// @dev Before a seat or key begins, whoever watches over the department takes it away. So does its recovery key: the
    /// council alone removes every officer, and never changes that key.
    function _vetoes(bytes32 digest, bytes[] calldata authority, uint24 department, uint40 notBefore)
        private
        view
        returns (bool)
    {
        if (block.timestamp >= notBefore || authority.length != 1) return false;
        address signer = SignatureCheck.recoverAt(digest, authority, 0);
        if (signer == _recoveryKeys[department]) return true;
        OfficerWord seat = _seats[signer];
        return seat.inOffice(block.timestamp) && seat.department() == department
            && seat.roles() & (ADMIN | CDO | OVERSIGHT) != 0;
    }

    /// @dev A seat goes on: same address, department and roles, a later end. So no older message can shorten it.
    function _renew(AddOfficer calldata m, uint40 start) private {
        OfficerWord seat = _seats[m.officer];
        bool same = seat.department() == m.department && seat.roles() == m.roles;
        if (!same || seat.flags() & (SEAT_REMOVED | SEAT_ROTATED) != 0 || m.notAfter <= seat.notAfter()) {
            revert AddressTaken(m.officer);
        }
        if (m.notAfter < block.timestamp) revert TermInvalid(start, m.notAfter);
        if (seat.inOffice(block.timestamp)) start = seat.notBefore();
        _seats[m.officer] = packOfficer(m.department, m.roles, start, m.notAfter, seat.flags());
        _emitSeat(m.officer, m.department, m.roles, start, m.notAfter);
    }

    function _emitSeat(address holder, uint24 department, uint16 roles, uint40 notBefore, uint40 notAfter) private {
        if (roles & PEOPLE != 0) emit OfficerAdded(holder, department, roles, notBefore, notAfter);
        else emit AttestKeyAdded(holder, department, roles, notBefore, notAfter);
    }

    /// @dev A seat passes on by rotation and recovery.
    /// @return holder Who holds now what this address held.
    /// @return seat Its word.
    function _whoHolds(address from) internal view returns (address holder, OfficerWord seat) {
        holder = from;
        seat = _seats[holder];
        while (seat.flags() & SEAT_ROTATED != 0) {
            holder = _recoveries[holder].to;
            seat = _seats[holder];
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
        _emitSeat(holder, department, roles, notBefore, notAfter);
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

    /// @dev Itself, an ADMIN for the roles an ADMIN may give, who watches over the department before the seat begins,
    /// or the council. Never blocked, and it follows the seat: nobody rotates away from it.
    /// @return holder Who was removed.
    function _unseat(bytes32 digest, uint32 epoch, bytes[] calldata authority, address named, uint16 kind)
        private
        returns (address holder, uint24 department)
    {
        OfficerWord seat;
        (holder, seat) = _whoHolds(named);
        if (seat.roles() & kind == 0 || seat.flags() & SEAT_REMOVED != 0) revert NotInOffice(holder);
        department = seat.department();
        bool itself = authority.length == 1 && SignatureCheck.recoverAt(digest, authority, 0) == holder;
        if (!itself && !_vetoes(digest, authority, department, seat.notBefore())) {
            (address signer,) = _requireAuthority(digest, epoch, authority, department, ADMIN, 1);
            if (signer != address(0) && seat.roles() & ~GIVEN_BY_ADMIN != 0) {
                revert RolesNotGivable(signer, seat.roles());
            }
        }
        _seats[holder] = seat.withFlag(SEAT_REMOVED);
    }
}
