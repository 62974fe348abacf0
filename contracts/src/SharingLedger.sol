// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Assets} from "./Assets.sol";
import {CouncilSeats} from "./CouncilSeats.sol";
import {Grants} from "./Grants.sol";
import {LEDGER_NAME, LEDGER_VERSION, LedgerPart, continueIn} from "./LedgerPart.sol";
import {IWords} from "./lib/LedgerWords.sol";
import {SaltedDomain} from "./lib/SaltedDomain.sol";
import {Usage} from "./Usage.sol";

/// @title The sharing ledger: departments, assets, grants and their use, in one contract
/// @notice Immutable. No owner, no upgrade, no ether: every authority is a verified signature, and whoever
/// submits it decides nothing. The acts of every day are here; the others run in fixed parts of the same
/// contract, on the same slots (LedgerPart). They stand apart also because the compiler tests selectors one
/// after another, 22 gas each.
contract SharingLedger is Assets, Grants, Usage, CouncilSeats, IWords {
    /// @notice The part with what is not here; it hands on to its `nextPart`.
    address public immutable firstPart;

    /// @notice This part was made for another ledger or salt.
    error PartForeign(address part);

    /// @param members Of the first council.
    /// @param threshold Signatures an act of the council needs.
    /// @param guardian May pause.
    /// @param admissionDelay Seconds between proposal and admission; 0 only in development.
    /// @param salt_ Random, for the EIP-712 domain.
    /// @param firstPart_ Deployed before for this address, as those behind it.
    constructor(
        address[] memory members,
        uint8 threshold,
        address guardian,
        uint32 admissionDelay,
        bytes32 salt_,
        LedgerPart firstPart_
    ) SaltedDomain(LEDGER_NAME, LEDGER_VERSION, salt_, address(this)) {
        firstPart = address(firstPart_);
        for (LedgerPart part = firstPart_; address(part) != address(0); part = LedgerPart(part.nextPart())) {
            if (part.domainSeparator() != domainSeparator()) revert PartForeign(address(part));
        }
        _seatCouncil(members, threshold, guardian, 1, admissionDelay);
    }

    /// @dev The same fixed code for ever: this is a split of one contract, not a proxy.
    fallback() external {
        continueIn(firstPart);
    }

    /// @inheritdoc IWords
    function wordAt(bytes32 slot) external view returns (bytes32 word) {
        assembly ("memory-safe") {
            word := sload(slot)
        }
    }
}
