"""The sandbox refuses as Stripe does: keys, limits, and faults that are let loose on purpose."""

import json
import re
import signal
import subprocess
import sys
from base64 import b64encode
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from http.client import HTTPException
from typing import Any
from urllib.request import Request, urlopen

import pytest

from stripe_dataflow.sandbox import Account, Faults, Limits, Sandbox
from stripe_dataflow_tests.sandbox.asking import KEY, NOW, Answer, all_pages, get


def with_limits(account: Account, **limits: Any) -> Sandbox:
    return Sandbox(account, limits=Limits(**limits))


@pytest.mark.parametrize(
    ("header", "status"),
    [
        pytest.param(None, 401, id="no key"),
        pytest.param("Bearer nonsense", 401, id="no key of Stripe's form"),
        pytest.param("Bearer rk_live_1", 200, id="restricted key"),
        pytest.param("Basic " + b64encode(b"sk_test_1:").decode(), 200, id="key as the user's name"),
        pytest.param("Basic !", 401, id="broken header"),
    ],
)
def test_a_key_is_needed(sandbox: Sandbox, header: str | None, status: int) -> None:
    headers = {"Authorization": header} if header else {}
    assert get(sandbox, "/v1/balance", key=None, **headers).status == status


def test_a_key_reads_only_what_it_may(account: Account) -> None:
    faults = Faults(keys={"rk_test_a": frozenset({"/v1/issuing/cards"})}, not_enabled=frozenset({"/v1/treasury"}))
    own = account.listed("account")[0]["id"]
    with Sandbox(account, faults=faults) as sandbox:
        denied = get(sandbox, "/v1/issuing/cards?foo=1", key="rk_test_a")
        message = (
            "The provided key 'rk_test_***' does not have the required permissions for this endpoint on account "
            f"'{own}'. Having the 'rak_issuing_card_read' permission would allow this request to continue."
        )
        assert denied.refusal == (403, None, None, message)
        assert get(sandbox, "/v1/issuing/cardholders", key="rk_test_a").status == 200
        unknown = get(sandbox, "/v1/charges", key="rk_test_b")
        assert unknown.refusal == (401, None, None, "Invalid API Key provided: rk_test_***")
        refused = get(sandbox, "/v1/treasury/financial_accounts", key="rk_test_a")
    assert refused.status == 400
    assert refused.refusal[3].startswith("Your account is not set up to use Treasury.")


def test_a_rate_limit_is_told_with_its_reason(account: Account) -> None:
    with with_limits(account, endpoint_rps=2) as sandbox:
        one = account.listed("charges")[0]["id"]
        other = account.listed("charges")[1]["id"]
        statuses = [get(sandbox, f"/v1/charges/{each}").status for each in (one, other)]
        third = get(sandbox, f"/v1/charges/{one}")
        assert [*statuses, third.status, get(sandbox, "/v1/charges").status] == [200, 200, 429, 200]
    assert third.headers["stripe-rate-limited-reason"] == "endpoint-rate"
    assert third.headers["retry-after"] == "1"
    assert third.body["error"]["code"] == "rate_limit"


def test_the_global_limit_counts_every_endpoint(account: Account) -> None:
    with with_limits(account, global_rps=3) as sandbox:
        answers = [get(sandbox, path) for path in ("/v1/charges", "/v1/refunds", "/v1/balance", "/v1/payouts")]
    assert [answer.status for answer in answers] == [200, 200, 200, 429]
    assert answers[-1].headers["stripe-rate-limited-reason"] == "global-rate"


def one_hangs_one_is_refused(sandbox: Sandbox, pool: ThreadPoolExecutor) -> tuple[Answer, Future[Answer]]:
    """Return the answer that came, and the request still under way."""
    both = {pool.submit(get, sandbox, "/v1/charges") for _ in range(2)}
    done, hanging = wait(both, timeout=10, return_when=FIRST_COMPLETED)
    return done.pop().result(), hanging.pop()


@pytest.mark.parametrize("scope", ["global", "endpoint"])
def test_requests_under_way_are_limited(account: Account, scope: str) -> None:
    limits, faults = Limits(**{f"{scope}_concurrency": 1}), Faults(rates={"hang": 1.0})
    with ThreadPoolExecutor() as pool, Sandbox(account, limits=limits, faults=faults) as sandbox:
        refused, _ = one_hangs_one_is_refused(sandbox, pool)
    assert refused.status == 429
    assert refused.headers["stripe-rate-limited-reason"] == f"{scope}-concurrency"


@pytest.mark.parametrize("status", ["409", "500", "502", "503"])
def test_a_status_can_be_made_to_come_once(account: Account, status: Any) -> None:
    faults = Faults(rates={status: 1.0}, path=r"^/v1/charges", times=1, should_retry=False, retry_after="2")
    with Sandbox(account, faults=faults) as sandbox:
        assert get(sandbox, "/v1/refunds").status == 200
        failed = get(sandbox, "/v1/charges")
        assert get(sandbox, "/v1/charges").status == 200
    assert failed.status == int(status)
    assert failed.headers["stripe-should-retry"] == "false"
    assert failed.headers["retry-after"] == "2"


@pytest.mark.parametrize("fault", ["reset", "truncated", "malformed", "html"])
def test_an_answer_can_be_broken(account: Account, fault: Any) -> None:
    with (
        Sandbox(account, faults=Faults(rates={fault: 1.0}, times=1)) as sandbox,
        pytest.raises((OSError, HTTPException, ValueError)),
    ):
        get(sandbox, "/v1/charges")


def test_a_page_can_come_twice_or_without_objects(account: Account) -> None:
    faults = Faults(rates={"repeated_page": 1.0})
    with Sandbox(account, faults=faults) as sandbox:
        first = get(sandbox, "/v1/charges").ids
        assert get(sandbox, f"/v1/charges?starting_after={first[-1]}").ids == first
        faults.rates = {"empty_page": 1.0}
        assert get(sandbox, "/v1/charges").body["data"] == []
        assert get(sandbox, "/v1/charges").body["has_more"] is True


def test_a_hanging_request_ends_unanswered_when_the_server_stops(account: Account) -> None:
    limits, faults = Limits(endpoint_concurrency=1), Faults(rates={"hang": 1.0})
    with ThreadPoolExecutor() as pool:
        with Sandbox(account, limits=limits, faults=faults) as sandbox:
            _, hanging = one_hangs_one_is_refused(sandbox, pool)
            assert not hanging.done()
        assert isinstance(hanging.exception(timeout=10), OSError | HTTPException)


def test_the_same_seed_hits_the_same_requests(account: Account) -> None:
    def statuses() -> list[int]:
        with Sandbox(account, faults=Faults(rates={"500": 0.3, "409": 0.2}, seed=4)) as sandbox:
            return [get(sandbox, "/v1/balance").status for _ in range(30)]

    first = statuses()
    assert set(first) == {200, 409, 500}
    assert statuses() == first


def test_an_unknown_fault_is_refused() -> None:
    with pytest.raises(ValueError, match="no such fault: 418; there are 500"):
        Faults(rates={"418": 1.0})  # pyright: ignore[reportArgumentType]


def test_what_was_asked_is_remembered(account: Account) -> None:
    with Sandbox(account) as sandbox:
        get(sandbox, "/v1/charges?limit=1")
        get(sandbox, "/v1/charges/ch_x")
        remembered = [(path, status) for _, path, status in sandbox.requests]
        counted = dict(sandbox.counts)
    assert remembered == [("/v1/charges?limit=1", 200), ("/v1/charges/ch_x", 404)]
    assert counted == {200: 1, 404: 1, "list charges": 1, "retrieve charges": 1}


def test_bulk_charges_are_listed_and_found_like_others() -> None:
    account = Account(customers=20, seed=1, now=NOW, charges=1_000)
    with Sandbox(account) as sandbox:
        rows = all_pages(sandbox, "/v1/charges", 100)
        assert rows == account.listed("charges")
        bulk = next(row for row in rows if row["id"].startswith("ch_3Bulk"))
        assert get(sandbox, f"/v1/charges/{bulk['id']}").body == bulk
        assert get(sandbox, f"/v1/charges/{bulk['id']}0").status == 404


def test_a_sandbox_that_is_not_running_says_so(account: Account) -> None:
    with pytest.raises(RuntimeError, match="has not been started"):
        _ = Sandbox(account).requests


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_the_command_serves_until_it_is_stopped(number: signal.Signals) -> None:
    arguments = ["--customers", "20", "--seed", "7", "--now", str(NOW), "--port", "0"]
    command = [sys.executable, "-m", "stripe_dataflow.sandbox", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        url = re.fullmatch(r"listening on (http://127\.0\.0\.1:\d+)\n", line)
        assert url is not None
        with urlopen(Request(url[1] + "/v1/customers?limit=100", headers={"Authorization": f"Bearer {KEY}"})) as found:
            rows = json.loads(found.read())["data"]
        process.send_signal(number)
        _, errors = process.communicate(timeout=10)
    assert (process.returncode, errors) == (0, "")
    assert rows == Account(customers=20, seed=7, now=NOW).listed("customers")
