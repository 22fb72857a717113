"""Alerts reach a real webhook: what failed and why, without key or data."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import cast

import dagster as dg
import pytest

from stripe_dataflow.errors import ConfigError
from stripe_dataflow.orchestration.alerts import URL_ENV, alert_sensors, post


class Webhook(ThreadingHTTPServer):
    """Keeps what is posted to it; answers with `statuses`, then with 200."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.taken, self.statuses = [], []


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        webhook = cast(Webhook, self.server)
        webhook.taken.append((self.headers["Content-Type"], body))
        self.send_response(webhook.statuses.pop(0) if webhook.statuses else 200)
        self.end_headers()

    def log_message(self, format, *args):  # noqa: A002 the base class's name
        pass


@pytest.fixture
def webhook(monkeypatch):
    with Webhook() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv(URL_ENV, f"http://127.0.0.1:{server.server_port}/hooks/T0SECRET")
        yield server
        server.shutdown()


def tick(name, instance, result):
    """Return what a sensor says to the end of a run."""
    sensor = next(sensor for sensor in alert_sensors() if sensor.name == name)
    ends = {dg.DagsterEventType.RUN_FAILURE, dg.DagsterEventType.RUN_SUCCESS}
    [end] = [event for event in result.all_events if event.event_type in ends]
    context = dg.build_run_status_sensor_context(
        name, end, instance, instance.get_run_by_id(result.run_id)
    )  # fmt: skip
    return sensor(context.for_run_failure() if name == "run_failure_alerts" else context)


def run(instance, body, *, description="3 of 10 rows"):
    """Return the result of a run of one asset and its one check, which fails."""

    @dg.asset(check_specs=[dg.AssetCheckSpec("complete", asset="report")])
    def report():
        yield dg.AssetCheckResult(passed=False, description=description)
        body()
        yield dg.MaterializeResult()

    job = dg.Definitions(assets=[report]).resolve_implicit_global_asset_job_def()
    return job.execute_in_process(instance=instance, raise_on_error=False)


def test_a_failed_run_is_told_with_each_tables_sentence_and_without_the_key(webhook, make_shop):
    shop = make_shop(tables=["customers", "issuing_cards"], customers=5)
    shop.faults.keys = {"sk_test_shop": frozenset({"/v1/issuing"})}
    failed = shop.run()
    tick("run_failure_alerts", shop.instance, failed)
    [(kind, told)] = webhook.taken
    assert kind == "application/json"
    assert (told["event"], told["job"], told["dataflow"], told["run_id"]) == (
        "run failed", "Shop__run", "Shop", failed.run_id,
    )  # fmt: skip
    assert told["failures"] == {"Shop__issuing_cards": shop.failures(failed)["issuing_cards"]}
    assert told["text"].splitlines() == [
        f"Shop__run: run failed (run {failed.run_id})",
        f"Shop__issuing_cards: {told['failures']['Shop__issuing_cards']}",
    ]
    emails = [customer["email"] for customer in shop.account.listed("customers")]
    assert [word for word in ["sk_test_shop", *emails] if word in str(told)] == []


def test_an_unforeseen_errors_text_stays_in_the_log_as_it_may_hold_data(webhook, make_shop):
    instance = make_shop().instance

    def fails():
        raise LookupError("no row for jane@example.com")

    tick("run_failure_alerts", instance, run(instance, fails))
    assert webhook.taken[0][1]["failures"] == {
        "report": "unforeseen LookupError; its text is in the run's log",
        "report:complete": "3 of 10 rows",
    }


def test_a_check_that_fails_in_a_run_that_went_well_is_told(webhook, make_shop):
    instance = make_shop().instance
    tick("check_failure_alerts", instance, run(instance, lambda: None))
    [(_, told)] = webhook.taken
    assert (told["event"], told["failures"]) == ("check failed", {"report:complete": "3 of 10 rows"})


def test_a_run_without_a_failed_check_is_not_told(webhook, make_shop):
    shop = make_shop(tables=["products"], customers=5)
    tick("check_failure_alerts", shop.instance, shop.run())
    assert webhook.taken == []


def test_a_webhook_that_fails_once_is_asked_again(webhook):
    webhook.statuses = [503]
    post({"text": "hello"})
    assert [body for _, body in webhook.taken] == [{"text": "hello"}] * 2


def test_a_webhook_that_does_not_answer_is_told_without_its_address(webhook, monkeypatch):
    webhook.statuses = [404] * 3
    with pytest.raises(ConfigError) as refused:
        post({})
    assert str(refused.value) == f"The webhook of {URL_ENV} did not take an alert (404). Check its address."
    monkeypatch.setenv(URL_ENV, "http://127.0.0.1:9/hooks/T0SECRET")
    with pytest.raises(ConfigError, match="URLError") as unreachable:
        post({})
    monkeypatch.setenv(URL_ENV, "ftp://T0SECRET")
    with pytest.raises(ConfigError, match="must hold a URL") as wrong:
        post({})
    assert "T0SECRET" not in str(refused.value) + str(unreachable.value) + str(wrong.value)


def test_alerts_are_off_until_the_address_is_set_and_say_so(monkeypatch, make_shop):
    monkeypatch.delenv(URL_ENV, raising=False)
    assert {sensor.default_status for sensor in alert_sensors()} == {dg.DefaultSensorStatus.STOPPED}
    instance = make_shop().instance
    said = tick("check_failure_alerts", instance, run(instance, lambda: None))
    assert f"{URL_ENV} is not set" in str(said)
    monkeypatch.setenv(URL_ENV, "https://example.com")
    assert {sensor.default_status for sensor in alert_sensors()} == {dg.DefaultSensorStatus.RUNNING}
