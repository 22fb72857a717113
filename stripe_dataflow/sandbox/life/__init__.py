"""The simulated account's life: what its people do, from opening the shop to the next payout."""
