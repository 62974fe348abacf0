// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Departments} from "./Departments.sol";
import {ICouncil} from "./interfaces/ICouncil.sol";
import {COUNCIL_MAX} from "./types/Codes.sol";
import {packCouncil} from "./types/CouncilWord.sol";

/// @title Who sits in the council: at deployment and after a replacement
abstract contract CouncilSeats is Departments {
    /// @dev A member holds no seat in a department: an address has one place.
    function _seatCouncil(
        address[] memory members,
        uint8 threshold,
        address guardian,
        uint32 epoch,
        uint32 admissionDelay
    ) internal {
        if (
            members.length == 0 || members.length > COUNCIL_MAX || threshold == 0 || threshold > members.length
                || guardian == address(0)
        ) revert ICouncil.CouncilInvalid(members.length, threshold);
        for (uint256 i = 0; i < _members.length; ++i) {
            _memberPlace[_members[i]] = 0;
        }
        delete _members;
        for (uint256 i = 0; i < members.length; ++i) {
            address member = members[i];
            if (member == address(0) || _memberPlace[member] != 0 || !_seats[member].isEmpty()) {
                revert AddressTaken(member);
            }
            _memberPlace[member] = i + 1;
            _members.push(member);
        }
        _council = packCouncil(guardian, threshold, epoch, admissionDelay);
        emit ICouncil.CouncilReplaced(epoch, members, threshold, guardian, admissionDelay);
    }
}
