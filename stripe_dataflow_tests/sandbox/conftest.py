"""What the sandbox's tests share: an account that nothing changes, and its server."""

from collections.abc import Iterator

import pytest

from stripe_dataflow.sandbox import Account, Sandbox
from stripe_dataflow_tests.sandbox.asking import NOW


@pytest.fixture(scope="module")
def account() -> Account:
    return Account(customers=25, seed=7, now=NOW)


@pytest.fixture(scope="module")
def sandbox(account: Account) -> Iterator[Sandbox]:
    with Sandbox(account) as running:
        yield running
