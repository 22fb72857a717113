"""One object becomes one line: what lands, what is kept apart, what never lands."""

import hashlib
import hmac

import orjson

from stripe_dataflow.catalog import TABLES
from stripe_dataflow.stripe_api import RowWriter


def line(table, row, *, parent_id=None, **options):
    return orjson.loads(RowWriter(TABLES[table], **options).line(row, asked_at_us=7, parent_id=parent_id))


def test_a_reference_becomes_its_id_whether_it_is_expanded_or_not():
    assert line("charges", {"id": "ch_1", "customer": {"id": "cus_1", "object": "customer"}})["customer"] == "cus_1"
    assert line("charges", {"id": "ch_1", "customer": "cus_1"})["customer"] == "cus_1"
    assert line("charges", {"id": "ch_1", "customer": None})["customer"] is None


def test_a_field_the_version_does_not_know_is_kept_apart_and_named():
    writer = RowWriter(TABLES["charges"])
    made = orjson.loads(writer.line({"id": "ch_1", "brand_new": {"x": 1}}, asked_at_us=7))
    assert made == {"id": "ch_1", "_extra": {"brand_new": {"x": 1}}, "_fetched_at": 7}
    assert writer.unknown_fields == {"brand_new"}


def test_a_secret_lands_neither_in_its_column_nor_apart():
    assert line("payment_intents", {"id": "pi_1", "client_secret": "s"}) == {"id": "pi_1", "_fetched_at": 7}


def test_an_event_loses_the_secrets_of_its_object_and_of_the_old_values():
    payload = {
        "object": {"object": "payment_intent", "id": "pi_1", "client_secret": "s"},
        "previous_attributes": {"client_secret": "old", "amount": 1},
    }
    made = line("events", {"id": "evt_1", "data": payload})
    assert made["data"] == {
        "object": {"object": "payment_intent", "id": "pi_1"},
        "previous_attributes": {"amount": 1},
    }


def test_a_child_carries_its_parents_id():
    assert line("invoice_line_items", {"id": "il_1"}, parent_id="in_1")["_parent_id"] == "in_1"


def test_an_excluded_column_lands_nowhere():
    assert line("customers", {"id": "cus_1", "email": "a@example.com"}, excluded=["email"]) == {
        "id": "cus_1",
        "_fetched_at": 7,
    }


def test_a_hashed_column_is_equal_for_equal_values_in_any_table_and_null_stays_null():
    expected = hmac.new(b"key", b"a@example.com", hashlib.sha256).hexdigest()
    options = {"hashed": ["email"], "key": b"key"}
    assert line("customers", {"id": "cus_1", "email": "a@example.com"}, **options)["email"] == expected
    assert line("accounts", {"id": "acct_1", "email": "a@example.com"}, **options)["email"] == expected
    assert line("customers", {"id": "cus_1", "email": None}, **options)["email"] is None


def test_keys_are_sorted_so_that_equal_objects_are_equal_text():
    one = RowWriter(TABLES["charges"]).line({"id": "ch_1", "metadata": {"b": 1, "a": 2}}, asked_at_us=7)
    other = RowWriter(TABLES["charges"]).line({"metadata": {"a": 2, "b": 1}, "id": "ch_1"}, asked_at_us=7)
    assert one == other
