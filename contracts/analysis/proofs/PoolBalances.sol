// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title No balance of a pool is ever too large to be stored
/// @notice Any one account of a pool against all the others taken together, under the conditions on which CostPools
/// writes them: what an account has deposited in all stays below 2^56, no more leaves it than it holds, and a settlement
/// takes from some what it gives to others. There are at most 2^24 departments. Then no balance comes to 2^80, for every
/// sequence of acts of whatever length: CostPools._settle cuts nothing off, and nobody blocks a receiver.
contract PoolBalances {
    uint256 private constant MOST_DEPOSITED = 2 ** 56 - 1;
    uint256 private constant OTHERS = 2 ** 24 - 1;

    uint256 private mine;
    uint256 private myDeposits;
    uint256 private others;
    uint256 private otherDeposits;

    /// @dev CostPools.setBudget: of this account.
    function deposit(uint80 amount) external {
        require(myDeposits + amount <= MOST_DEPOSITED);
        myDeposits += amount;
        mine += amount;
    }

    function withdraw(uint80 amount) external {
        require(amount <= mine);
        mine -= amount;
    }

    /// @dev And of the others, each within its bound.
    function depositElsewhere(uint80 amount) external {
        require(otherDeposits + amount <= OTHERS * MOST_DEPOSITED);
        otherDeposits += amount;
        others += amount;
    }

    function withdrawElsewhere(uint80 amount) external {
        require(amount <= others);
        others -= amount;
    }

    /// @dev CostPools._settleAll: what is credited is debited, and each debtor holds it.
    function receive_(uint128 amount) external {
        require(amount <= others);
        others -= amount;
        mine += amount;
        assert(mine < 2 ** 80);
    }

    function pay(uint128 amount) external {
        require(amount <= mine);
        mine -= amount;
        others += amount;
        assert(others < 2 ** 80);
    }

    /// @dev Whatever happened.
    function check() external view {
        assert(mine < 2 ** 80);
        assert(mine + others <= myDeposits + otherDeposits);
    }
}
