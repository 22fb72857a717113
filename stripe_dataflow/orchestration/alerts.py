"""Alerts: a JSON message to a webhook when a run or a check fails; off until its address is set."""

import http.client
import json
import os
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

import dagster as dg
from tenacity import Retrying, stop_after_attempt, wait_exponential

from stripe_dataflow.errors import ConfigError

URL_ENV = "STRIPE_DATAFLOW_ALERT_URL"
_TIMEOUT_S = 10
_OFF = f"No alert is sent: the environment variable {URL_ENV} is not set."
_STATUS = {True: dg.DefaultSensorStatus.RUNNING, False: dg.DefaultSensorStatus.STOPPED}

Sentences = Mapping[str, str]


def alert_sensors() -> list[dg.SensorDefinition]:
    """Return the sensors for failed runs and for failed checks, on where the webhook's address is set."""
    status = _STATUS[bool(os.environ.get(URL_ENV))]

    @dg.run_failure_sensor(
        default_status=status,
        description=f"Tells the webhook of {URL_ENV} which run failed, what of it and why.",
    )
    def run_failure_alerts(context: dg.RunFailureSensorContext) -> dg.SkipReason | None:
        failures = failed_steps(context)
        failures |= failed_checks(context.instance, context.dagster_run.run_id)
        return _tell(context, "run failed", failures or {"run": context.failure_event.message or "no reason given"})

    @dg.run_status_sensor(
        run_status=dg.DagsterRunStatus.SUCCESS,
        default_status=status,
        description=f"Tells the webhook of {URL_ENV} which checks failed in a run that went well otherwise.",
    )
    def check_failure_alerts(context: dg.RunStatusSensorContext) -> dg.SkipReason | None:
        failures = failed_checks(context.instance, context.dagster_run.run_id)
        return _tell(context, "check failed", failures) if failures else None

    return [run_failure_alerts, check_failure_alerts]


def failed_steps(context: dg.RunFailureSensorContext) -> dict[str, str]:
    """Return step -> the sentence it failed with; of an unforeseen error only the kind, as its text may hold data."""
    found: dict[str, str] = {}
    for event in context.get_step_failure_events():
        data = event.step_failure_data
        known = data.user_failure_data.description if data.user_failure_data else None
        cause = data.error and (data.error.cause or data.error)  # Dagster wraps what the code raised
        kind = cause.cls_name if cause else None
        found[event.step_key or ""] = known or f"unforeseen {kind or 'error'}; its text is in the run's log"
    return found


def failed_checks(instance: dg.DagsterInstance, run_id: str) -> dict[str, str]:
    """Return `asset:check` -> its description, for the checks that failed in a run."""
    records = instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION).records
    events = [record.event_log_entry.dagster_event for record in records]
    checks = [event.asset_check_evaluation_data for event in events if event]
    return {
        f"{check.asset_key.to_user_string()}:{check.check_name}": check.description or "failed"
        for check in checks
        if not check.passed
    }


def post(message: Mapping[str, object]) -> None:
    """Send a message as JSON; a server that does not answer with 2xx is asked three times.

    Raises:
        ConfigError: It was not taken. The address is left out of the text, as it often holds a secret.
    """
    url = os.environ[URL_ENV]
    if urlsplit(url).scheme not in {"http", "https"}:
        raise ConfigError(f"{URL_ENV} must hold a URL that starts with http:// or https://. No alert was sent.")
    body = json.dumps(message).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})  # noqa: S310 checked above
    try:
        for attempt in Retrying(stop=stop_after_attempt(3), wait=wait_exponential(multiplier=0.2), reraise=True):
            with attempt:
                _send(request)
    except (OSError, ValueError, http.client.HTTPException) as error:
        answer = getattr(error, "code", None) or type(error).__name__
        raise ConfigError(f"The webhook of {URL_ENV} did not take an alert ({answer}). Check its address.") from None


def _send(request: urllib.request.Request) -> None:
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S):  # noqa: S310 `post` checked it
            pass
    except urllib.error.HTTPError as refusal:
        refusal.close()
        raise


def _tell(context: dg.RunStatusSensorContext, what: str, failures: Sentences) -> dg.SkipReason | None:
    if not os.environ.get(URL_ENV):
        return dg.SkipReason(_OFF)
    run = context.dagster_run
    post(_message(what, run, failures))
    context.log.info("Told the webhook of %s (%s): %s.", run.job_name, run.run_id, what)
    return None


def _message(what: str, run: dg.DagsterRun, failures: Sentences) -> dict[str, object]:
    """Return the alert: `text` is what chat tools show, the rest is for programs."""
    lines: Sequence[str] = [f"{name}: {text}" for name, text in failures.items()]
    return {
        "text": "\n".join([f"{run.job_name}: {what} (run {run.run_id})", *lines]),
        "event": what,
        "job": run.job_name,
        "dataflow": run.tags.get("dataflow"),
        "run_id": run.run_id,
        "failures": dict(failures),
    }
