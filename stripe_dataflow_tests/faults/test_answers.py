"""Answers that are wrong, broken or missing: no page of them is ever read as a list that is short or empty."""

from dataclasses import replace

import pytest

from stripe_dataflow_tests.faults.shops import HASTY, calm

# In a run that lists everything: of some lists the first page, of others one in the middle.
PAGES = r"(customers|invoices)\?(?!.*starting_after)|charges.*starting_after|customer_tax_ids|tax_ids"
OBJECTS = r"/v1/\w+/\w+_\w+(\?|$)"
FEED = "/v1/events"

WRONG = ["500", "502", "503", "reset", "truncated", "malformed", "html", "html_403", "html_404",
         "empty_page", "no_has_more"]  # fmt: skip


def let_loose(shop, fault, path, *, mode="auto"):
    """Return a run's result with one fault on some requests, and how many it hit."""
    faults, before = shop.faults, shop.faults.hits[fault]
    faults.rates, faults.path, faults.retry_after = {fault: 1.0}, path, "0"
    result = shop.run(mode=mode)
    calm(faults)
    return result, faults.hits[fault] - before


@pytest.mark.parametrize("fault", WRONG)
def test_an_answer_that_stays_wrong_fails_its_tables_and_deletes_no_row(changed, trial, fault):
    begun = trial(changed)
    pages, hit_pages = let_loose(changed, fault, PAGES, mode="list")
    begun.holds()
    failed = {"customers", "customer_tax_ids", "invoices", "invoice_line_items", "charges"}
    assert set(changed.failures(pages)) == failed
    assert changed.history()[0][1] == "Failed"
    objects, hit_objects = let_loose(changed, fault, OBJECTS)
    begun.holds()
    assert len(changed.failures(objects)) > 1
    assert changed.history()[0][1] == "Failed"
    begun.settles(f"{fault}, for good", hit_pages + hit_objects, "the run fails, the next one completes")


def test_a_page_that_is_repeated_for_good_ends_the_list_with_an_error(changed, trial):
    begun = trial(changed)
    result, hit = let_loose(changed, "repeated_page", "starting_after", mode="list")
    begun.holds()
    assert {"charges", "invoices"} <= changed.failures(result).keys()
    assert "a page that repeats the page before it" in changed.failures(result)["charges"]
    begun.settles("repeated_page, for good", hit, "the run fails, the next one completes")


@pytest.mark.parametrize("mode", ["auto", "list"])
def test_embedded_lists_without_objects_are_read_at_their_own_address(changed, trial, mode):
    begun = trial(changed)
    result, hit = let_loose(changed, "empty_children", "", mode=mode)
    assert changed.failures(result) == {}
    for child in ("invoice_line_items", "customer_tax_ids"):
        assert changed.held()[child, ""] == changed.truth()[child, ""]
    # An invoice also has the list as a column: as Stripe sent it.
    begun.settles(f"embedded lists empty with has_more ({mode})", hit, "completes", mode="list")


def test_a_right_answer_of_a_wrong_content_type_is_taken(changed, trial):
    begun = trial(changed)
    result, hit = let_loose(changed, "text", "")
    assert changed.failures(result) == {}
    assert changed.held() == changed.truth()
    begun.settles("wrong content type", hit, "completes")


@pytest.mark.parametrize("mode", ["auto", "list"])
def test_faults_that_pass_heal_within_the_run(changed, trial, mode):
    begun, faults = trial(changed), changed.faults
    changed.patience = replace(HASTY, attempts=8)
    before = sum(faults.hits.values())
    faults.rates = dict.fromkeys([*WRONG[:7], "409", "empty_page", "no_has_more", "repeated_page"], 0.03)
    faults.retry_after = "0"
    result = changed.run(mode=mode)
    changed.patience = HASTY
    assert changed.failures(result) == {}
    begun.holds()
    assert changed.held() == changed.truth()
    begun.settles(f"every fault now and then ({mode})", sum(faults.hits.values()) - before, "completes")


def test_an_answer_that_never_comes_is_waited_for_no_longer_than_told(changed, trial):
    begun = trial(changed)
    changed.patience = replace(HASTY, timeout_s=0.5, attempts=2)
    result, hit = let_loose(changed, "hang", r"customers\?", mode="list")
    changed.patience = HASTY
    begun.holds()
    assert "TimeoutError" in changed.failures(result)["customers"]
    assert changed.history()[0][1] == "Failed"
    begun.settles("no answer (time-out)", hit, "the run fails, the next one completes")


def test_a_key_that_is_rejected_deletes_no_row(changed, trial):
    begun = trial(changed)
    changed.faults.keys = {}
    result = changed.run(mode="list")
    begun.holds()
    assert len(changed.failures(result)) == len(changed.dataflow().tables)
    begun.settles("key rejected", 1, "the run fails, the next one completes")
