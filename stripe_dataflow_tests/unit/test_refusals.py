"""Each refusal of Stripe's becomes the error that says what to do."""

import orjson
import pytest

from stripe_dataflow import errors
from stripe_dataflow.stripe_api.refusals import refusal

RIGHT = (
    "The provided key 'rk_live_***abc' does not have the required permissions for this endpoint on account "
    "'acct_1'. Having the 'rak_issuing_card_read' permission would allow this request to continue."
)


def refuse(status, message="", *, headers=None, **detail):
    body = orjson.dumps({"error": {"message": message, "type": "invalid_request_error", **detail}})
    given = {"Request-Id": "req_1", **(headers or {})}
    return refusal("issuing cards", url="/v1/issuing/cards?limit=100", status=status, headers=given, body=body)


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        pytest.param(401, "Invalid API Key provided: sk_test_***", errors.KeyRejected, id="a wrong key"),
        pytest.param(403, RIGHT, errors.PermissionDenied, id="a key without the right"),
        pytest.param(401, RIGHT, errors.PermissionDenied, id="the same, as live accounts say it"),
        pytest.param(400, "Your account is not set up to use Issuing.", errors.NotEnabled, id="a product not set up"),
        pytest.param(404, "Unrecognized request URL (GET: /v1/x)", errors.NotEnabled, id="a list the account lacks"),
        pytest.param(400, "Something else is wrong.", errors.RequestRefused, id="anything else"),
        pytest.param(404, "No such issuing card: 'x'", errors.RequestRefused, id="a missing object"),
        pytest.param(429, "", errors.RateLimited, id="too many requests"),
        pytest.param(409, "", errors.Unreachable, id="a conflict"),
        pytest.param(500, "", errors.Unreachable, id="a failure of Stripe's"),
        pytest.param(503, "", errors.Unreachable, id="a time of repair"),
    ],
)
def test_a_refusal_is_sorted_by_what_to_do(status, message, kind):
    assert type(refuse(status, message)) is kind


def test_a_missing_right_is_named_with_the_request_and_what_to_do():
    assert str(refuse(403, RIGHT)) == (
        "GET /v1/issuing/cards returned 403 (invalid_request_error, req_1): this API key may not read issuing cards "
        "(right rak_issuing_card_read). Give the restricted key that right, or leave the table out of the dataflow."
    )


def test_a_cursor_whose_object_is_gone_is_told_apart():
    assert isinstance(refuse(400, "No such charge: 'ch_1'", param="starting_after"), errors.CursorGone)


def test_stripes_own_words_on_waiting_are_kept():
    error = refuse(429, headers={"Retry-After": "3", "Stripe-Rate-Limited-Reason": "endpoint-rate"})
    assert (error.retry_after_s, error.reason) == (3.0, "endpoint-rate")


def test_no_error_repeats_a_key_even_a_masked_one():
    for status in (400, 401, 403, 404):
        text = str(refuse(status, "The key sk_live_abc*****def and rk_test_123 and whsec_9 are wrong."))
        assert not [part for part in ("sk_live", "rk_test", "whsec", "abc*") if part in text]
