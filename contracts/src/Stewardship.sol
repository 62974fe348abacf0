// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {AssetActs} from "./AssetActs.sol";
import {Emergencies} from "./Emergencies.sol";
import {GrantActs} from "./GrantActs.sol";
import {LedgerPart} from "./LedgerPart.sol";

/// @title The part of the ledger's code with the rarer acts on assets and grants
contract Stewardship is LedgerPart, AssetActs, GrantActs, Emergencies {
    constructor(bytes32 salt_, address ledger, address nextPart_) LedgerPart(salt_, ledger, nextPart_) {}
}
