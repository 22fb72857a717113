"""Where Stripe's limits are below our ceilings, the load finds them and stays there; others keep their share."""

import asyncio

import aiohttp
import pytest

from stripe_dataflow.sandbox import Account, Faults, Limits, Sandbox
from stripe_dataflow.stripe_api import Ask, Connection, Reader, Traffic, Transport

REQUESTS = 240
ASK = Ask("customers", "/v1/customers", "/v1/customers", {"limit": 1})


@pytest.fixture(scope="module")
def account():
    """Return a small account; nothing changes it."""
    return Account(customers=2, seed=1)


async def ask_many(connection, requests=REQUESTS, *, workers=40):
    """Ask for a page again and again, through many workers."""
    left = iter(range(requests))

    async def work(transport):
        for _ in left:
            await Reader(transport, Traffic()).get(ASK)

    async with Transport(connection) as transport:
        await asyncio.gather(*(work(transport) for _ in range(workers)))


@pytest.mark.parametrize(
    ("limits", "latency_s"),
    [
        pytest.param(Limits(endpoint_rps=40), 0, id="the endpoint's rate"),
        pytest.param(Limits(global_rps=40), 0, id="the account's rate"),
        pytest.param(Limits(endpoint_concurrency=4), 0.1, id="how many are under way"),
    ],
)
def test_ceilings_above_stripes_limits_cost_few_refusals(account, limits, latency_s):
    with Sandbox(account, limits=limits, faults=Faults(latency_s=latency_s)) as stripe:
        asyncio.run(ask_many(Connection(stripe.url, "rk_test_x", per_second=160, per_endpoint=160)))
        assert stripe.counts[200] == REQUESTS
        # Those in flight when the limit was met, up to 16, and one now and then as it is looked for again, which
        # are the more the slower the machine.
        assert 0 < stripe.counts[429] <= REQUESTS // 6


async def ask_as_a_person_does(url, stop):
    """Ask three times a second, as an application does for its users; return the statuses."""
    statuses = []
    async with aiohttp.ClientSession(headers={"Authorization": "Bearer sk_test_shop"}) as session:
        while not stop.is_set():
            async with session.get(f"{url}/v1/customers?limit=1") as answer:
                statuses.append(answer.status)
            await asyncio.sleep(0.3)
    return statuses


def test_by_default_whoever_else_asks_of_the_account_is_never_refused(account):
    async def both(url):
        stop = asyncio.Event()
        person = asyncio.create_task(ask_as_a_person_does(url, stop))
        await ask_many(Connection(url, "rk_test_x"), 120)
        stop.set()
        return await person

    with Sandbox(account, limits=Limits(global_rps=35, endpoint_rps=35)) as stripe:
        statuses = asyncio.run(both(stripe.url))
        assert stripe.counts[429] == 0
    assert set(statuses) == {200}
    assert len(statuses) > 3
