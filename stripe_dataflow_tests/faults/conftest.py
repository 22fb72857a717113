"""What the fault tests share: a shop to break."""

from collections.abc import Iterator
from typing import Any

import pytest

from stripe_dataflow_tests.faults.shops import FragileShop, calm, opened


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FragileShop]:
    """Return a shop that was loaded once; each test moves its account on."""
    with opened(tmp_path_factory.mktemp("shop")) as made:
        assert made.failures(made.run()) == {}
        yield made


@pytest.fixture
def changed(shop: FragileShop) -> Any:
    """Return the shop, with changes at Stripe that no run has seen."""
    calm(shop.faults)
    shop.churn()
    return shop
