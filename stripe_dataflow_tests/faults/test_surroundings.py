"""What lies around a run: the limits of the account, the network, the clock, the event feed."""

import pytest

from stripe_dataflow.patience import Patience
from stripe_dataflow.sandbox import Limits
from stripe_dataflow_tests.faults.child import Job, start
from stripe_dataflow_tests.faults.shops import HASTY, KEY, KEY_ENV, opened


def test_a_storm_of_429_is_waited_out(tmp_path, trial):
    # An account that lets through 5 requests a second, of a run that would send 20.
    limits, each = Limits(global_rps=5), 20
    with opened(
        tmp_path, customers=12, limits=limits, requests_per_second=each, requests_per_second_per_endpoint=each
    ) as shop:
        begun = trial(shop)
        shop.patience = Patience(step_wait_s=0)
        assert shop.failures(shop.run()) == {}
        begun.holds()
        assert shop.held() == shop.truth()
        begun.settles("429 storm: 5 requests a second allowed", shop.sandbox.counts[429], "completes")


def test_a_host_without_an_address_fails_the_run_in_a_sentence(changed, trial):
    begun = trial(changed)
    result = changed.run(api_base="http://stripe.invalid")
    texts = set(changed.failures(result).values())
    assert all("no connection to http://stripe.invalid (ClientConnectorDNSError)" in text for text in texts), texts
    begun.holds()
    begun.settles("DNS failure", 1, "the run fails, the next one completes")


@pytest.mark.parametrize(
    ("during", "after", "mode"),
    [
        pytest.param(+86_400, 0, "auto", id="a day ahead, then right"),
        pytest.param(+86_400, -86_400 * 15, "list", id="a day ahead, then fifteen days behind"),
        pytest.param(-86_400 * 15, 0, "list", id="fifteen days behind, then right"),
        pytest.param(0, -86_400 * 15, "auto", id="right, then fifteen days behind"),
    ],
)
def test_the_machines_clock_changes_nothing(changed, trial, tmp_path, during, after, mode):
    begun = trial(changed)
    for number, jump in enumerate((during, after)):
        output = tmp_path / f"output{number}"
        process = start(Job(changed.attributes, HASTY, {KEY_ENV: KEY}, config={"mode": mode}), output, clock_s=jump)
        process.join(60)
        assert process.exitcode == 0, output.read_text(encoding="utf-8")
        assert changed.held() == changed.truth()
        changed.churn()
    begun.settles(f"clock {during:+,} s, then {after:+,} s ({mode})", 2, "completes")


def events(shop, of):
    """Return the ids of the events of an object."""
    return {e["id"] for e in shop.account.listed("events") if e["data"]["object"].get("id") == of}


def test_events_that_stall_arrive_with_a_later_run(changed, trial):
    begun = trial(changed)
    seen = {e["id"] for e in changed.account.listed("events")}
    changed.churn()
    stalled = frozenset(e["id"] for e in changed.account.listed("events")) - seen
    changed.faults.late_events = stalled
    assert changed.failures(changed.run()) == {}
    changed.faults.late_events = frozenset()
    begun.settles("event feed stalls for good", len(stalled), "completes once it moves")


def test_one_event_that_shows_up_after_later_ones_is_seen_by_the_next_run(changed, trial):
    begun, account = trial(changed), changed.account
    customer = account.create("customers", email="late@example.com")["id"]
    late = frozenset(events(changed, customer))
    with account.lock:
        account.state.now += 30
    account.create("customers", email="later@example.com")
    changed.faults.late_events = late
    assert changed.failures(changed.run()) == {}
    changed.faults.late_events = frozenset()
    begun.settles("an event appears after later ones", len(late), "completes")
