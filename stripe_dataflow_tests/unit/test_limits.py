"""Slots are evenly spaced, a 429 slows what it names, and the longest list goes first."""

import asyncio
from itertools import pairwise

import pytest

from stripe_dataflow.stripe_api.limits import Bucket, Limits


def test_slots_are_a_rate_apart():
    bucket = Bucket(20.0)
    slots = []
    for _ in range(4):
        slots.append(max(bucket.next_at, 100.0))
        bucket.take(max(bucket.next_at, 100.0))
    assert [round(b - a, 3) for a, b in pairwise(slots)] == [0.0, 0.0, 0.05]


def test_a_refusal_slows_a_bucket_once_a_second_and_it_recovers():
    bucket = Bucket(20.0)
    bucket.slow_down(100.0, 1.0)
    bucket.slow_down(100.5, 1.0)
    assert (bucket.rate, bucket.next_at) == (14.0, 101.5)
    seconds = {}
    while bucket.rate < 20.0:
        bucket.take(bucket.next_at)
        seconds[int(bucket.rate)] = bucket.next_at - 101.5
    # Fast to 17, which is near to what was refused; carefully from there on.
    assert seconds[16] < 4
    assert 10 < seconds[20] < 30


async def leave_order(limits, wanted):
    """Return the endpoints in the order their requests may go."""
    order = []

    async def ask(name):
        async with limits.slot(name):
            order.append(name)

    await asyncio.gather(*(ask(name) for name in wanted))
    return order


def test_the_endpoint_with_most_pages_left_goes_first():
    limits = Limits(per_second=1000, per_endpoint=1000, in_flight=1)
    limits.endpoint("short").pages_left = 1
    limits.endpoint("long").pages_left = 50
    assert asyncio.run(leave_order(limits, ["short", "long"]))[0] == "long"


async def most_in_flight(limits, requests):
    """Return how many requests of a wave were in flight at once."""
    flying, most = 0, 0

    async def ask():
        nonlocal flying, most
        async with limits.slot("charges"):
            flying += 1
            most = max(most, flying)
            await asyncio.sleep(0.001)
            flying -= 1

    await asyncio.gather(*(ask() for _ in range(requests)))
    return most


def test_no_more_fly_at_once_than_allowed_and_a_concurrency_refusal_lowers_it():
    limits = Limits(per_second=10_000, per_endpoint=10_000, in_flight=4)

    async def before_and_after():
        before = await most_in_flight(limits, 20)
        async with limits.slot("charges") as left_at:
            limits.refused("charges", "endpoint-concurrency", 1.0, left_at=left_at)
        return before, await most_in_flight(limits, 4)

    before, after = asyncio.run(before_and_after())
    assert before == 4
    assert after < before


def test_refusals_of_one_wave_lower_the_number_in_flight_once_and_it_grows_again():
    limits = Limits(per_second=10_000, per_endpoint=10_000, in_flight=20)
    all_left = asyncio.Barrier(20)

    async def refused():
        async with limits.slot("charges") as left_at:
            await all_left.wait()
            limits.refused("charges", "global-concurrency", 0.0, left_at=left_at)

    async def lowered_and_grown():
        await asyncio.gather(*(refused() for _ in range(20)))
        lowered = most = await most_in_flight(limits, 30)
        async with asyncio.timeout(10):
            while most == lowered:
                most = await most_in_flight(limits, 30)
        return lowered, most

    lowered, grown = asyncio.run(lowered_and_grown())
    assert lowered == 14
    assert grown > lowered


@pytest.mark.parametrize(
    ("reason", "slowed"),
    [
        pytest.param("global-rate", "account", id="the account's limit"),
        pytest.param("endpoint-rate", "endpoint", id="the endpoint's limit"),
        pytest.param("", "endpoint", id="no reason given"),
    ],
)
def test_a_429_slows_the_bucket_its_reason_names(reason, slowed):
    async def rates():
        limits = Limits(per_second=100, per_endpoint=20)
        limits.refused("charges", reason, 0.0, left_at=0.0)
        return {"account": limits._account.rate, "endpoint": limits.endpoint("charges").bucket.rate}  # noqa: SLF001

    full = {"account": 100.0, "endpoint": 20.0}
    assert asyncio.run(rates()) == {**full, slowed: full[slowed] * 0.7}
