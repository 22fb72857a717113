"""Run configuration and arguments of any kind: what was asked for, or one sentence and nothing changed."""

import os
import re
import subprocess
import sys
from contextlib import chdir
from pathlib import Path
from tempfile import TemporaryDirectory

import dagster as dg
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from stripe_dataflow.catalog import TABLES
from stripe_dataflow.cli import main
from stripe_dataflow.errors import ConfigError
from stripe_dataflow.orchestration.partitions import PARTITION_TAG, RANGE_TAGS
from stripe_dataflow.warehouse import Target, Warehouse, resolve_target

NASTY = [
    "", " ", "previous", "PREVIOUS", "0", "-1", "1", "2", "²", "٣", "9" * 18, "9" * 5000, "1e3", "0x1", "nan", "é",
    "😀", "2026-11-01", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2026-13-01", "\0", "a\nb",
    "select", "'; drop schema \"Shop\" cascade; --", '"', "Shop", "shop", " Shop", "customers", "CUSTOMERS", "z" * 9000,
]  # fmt: skip
texts = st.sampled_from(NASTY) | st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts
values = st.recursive(scalars, lambda i: st.lists(i, max_size=2) | st.dictionaries(texts, i, max_size=2), max_leaves=4)
RELAXED = [HealthCheck.too_slow, HealthCheck.data_too_large]


@pytest.fixture(scope="module")
def shop(make_shop):
    """Return a shop with two completed loads, so that there is something to lose."""
    made = make_shop(customers=5, tables=["customers", {"table": "charges", "name": "Order"}], days_ago=3)
    assert made.failures(made.run()) == {}
    made.account.advance(made.account.now + 86_400)
    assert made.failures(made.run()) == {}
    return made


def outcome(shop, op, config):
    """Return the sentence a job's op failed with, `refused` where Dagster refused the configuration, else nothing."""
    try:
        result = shop.operate(op, **config)
    except (dg.DagsterInvalidConfigError, dg.DagsterUserCodeExecutionError):
        return "refused"
    if result.success:
        return ""
    [event] = result.get_step_failure_events()
    assert event.step_failure_data.user_failure_data, event.step_failure_data.error.to_string()
    return str(event.step_failure_data.user_failure_data.description)


@settings(max_examples=10, deadline=None, suppress_health_check=RELAXED)
@given(to=texts | values, tables=st.just([]) | st.lists(texts, max_size=2) | values, reason=texts)
@example(to="²", tables=[], reason="")
@example(to="9" * 5000, tables=[], reason="")
@example(to={"a": [None]}, tables=["customers"], reason="'; drop")
@example(to="previous", tables=["customers", "Order"], reason="\0")
def test_a_rollback_of_any_configuration_goes_there_or_says_why_not(shop, to, tables, reason):
    before = shop.rows()
    sentence = outcome(shop, "rollback", {"to": to, "tables": tables, "dry_run": True, "reason": reason})
    assert "\n" not in sentence
    assert sentence in {"", "refused"} or "Nothing was changed." in sentence
    assert shop.rows() == before


@settings(max_examples=10, deadline=None, suppress_health_check=RELAXED)
@given(confirm=texts | values, tables=st.just([]) | st.lists(texts, max_size=2), dry_run=st.booleans())
@example(confirm="shop", tables=[], dry_run=False)
@example(confirm=" Shop", tables=["customers"], dry_run=False)
@example(confirm="Shop", tables=['\'; drop schema "Shop" cascade; --'], dry_run=False)
def test_a_removal_needs_the_exact_name(shop, confirm, tables, dry_run):
    if confirm == "Shop" and not dry_run and not set(tables) - {"customers", "Order"}:
        return  # then it is meant
    before = shop.rows()
    sentence = outcome(shop, "remove", {"confirm": confirm, "tables": tables, "dry_run": dry_run})
    assert dry_run or sentence
    assert sentence in {"", "refused"} or "Nothing was changed." in sentence
    assert shop.rows() == before


@pytest.mark.parametrize("mode", ["", "AUTO", "'; drop", 5, None, ["list"], {"a": 1}])
def test_a_run_of_an_unknown_mode_is_refused_before_anything_is_asked(shop, mode):
    asked, before = len(shop.sandbox.requests), shop.rows()
    job = shop.dataflow()
    config = {"resources": {"Shop__session": {"config": {"mode": mode}}}}
    with pytest.raises(dg.DagsterInvalidConfigError):
        dg.validate_run_config(definitions_of(job).resolve_job_def("Shop__run"), config)
    assert len(shop.sandbox.requests) == asked
    assert shop.rows() == before


def definitions_of(dataflow):
    from stripe_dataflow.orchestration.jobs import dataflow_definitions  # noqa: PLC0415

    return dataflow_definitions(dataflow)


TAGS = [
    pytest.param({PARTITION_TAG: "2031-01-01"}, id="a partition to come"),
    pytest.param({RANGE_TAGS[0]: "2026-01-01"}, id="a range without an end"),
    pytest.param({RANGE_TAGS[1]: "2026-01-01"}, id="a range without a start"),
    pytest.param({RANGE_TAGS[0]: "2026-05-01", RANGE_TAGS[1]: "2026-01-01"}, id="a range backwards"),
]


@pytest.mark.parametrize("tags", TAGS)
def test_a_run_for_no_partition_there_is_changes_no_row(shop, tags):
    before = shop.rows()
    try:
        failures = shop.failures(shop.run(tags=tags, select=["customers"]))
    except dg.DagsterError:
        failures = {"customers": "refused"}
    assert failures["customers"] == "refused" or "Shop has no such partition now" in failures["customers"]
    assert shop.rows() == before


OPTIONS = [
    "--json",
    "--failed",
    "--limit",
    "--group-by",
    "--csv",
    "--search",
    "--category",
    "--name",
    "--help",
    "-h",
    "--",
    "--no",
]
COMMANDS = ["history", "versions", "plan", "tables", "load", "connect", "list", "connectors", "new", "nothing"]
arguments = st.lists(st.sampled_from(OPTIONS) | texts.filter(lambda text: "\0" not in text), max_size=5)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Dagster's own, where it reads the YAML
@settings(max_examples=60, deadline=None, suppress_health_check=RELAXED)
@given(command=st.sampled_from(COMMANDS), words=arguments)
@example(command="history", words=["Shop", "--limit", "9" * 5000])
@example(command="history", words=["[red]x[/nothing]"])
def test_any_arguments_print_an_answer_or_one_error(command, words):
    with TemporaryDirectory() as folder, chdir(folder):
        result = CliRunner().invoke(main, [command, *words], input="\n")
        written = list(Path.cwd().iterdir())
    assert result.exit_code in {0, 1, 2}
    assert isinstance(result.exception, SystemExit | None), result.exception
    assert result.exit_code == 0 or re.search("Error: |Usage: |Aborted!", result.output)
    assert written == []


def test_bytes_that_are_no_text_are_refused_by_the_real_command(tmp_path):
    command = [os.fsencode(Path(sys.executable).with_name("stripe-dataflow")), b"history", b"[/]\xff\n"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(b"Error: There is no dataflow ")
    assert list(tmp_path.iterdir()) == []


def test_tables_of_a_target_are_quoted_in_every_statement(tmp_path):
    """A schema and a table whose names would be SQL: see test_objects_fuzz for the rows."""
    target = Target('a"; drop', "b'--", TABLES["customers"])
    with Warehouse(tmp_path / "x.duckdb", stage_dir=tmp_path / "stage") as warehouse:
        assert warehouse.staged_rows(target, [(0, 1)]) == [0]
        warehouse.discard(target)


@pytest.fixture(scope="module")
def registry(shop):
    """Return an open connection to the shop's database that only reads."""
    with Warehouse(shop.database, stage_dir=shop.database.with_name("s")) as warehouse, warehouse.reading() as found:
        yield found


@settings(max_examples=200, deadline=None, suppress_health_check=RELAXED)
@given(
    to=texts | values | st.datetimes().map(str) | st.datetimes(timezones=st.timezones()).map(lambda t: t.isoformat())
)
def test_any_state_to_go_back_to_is_one_of_the_loads_or_refused(registry, to):
    try:
        assert resolve_target(registry, "Shop", to) in {1, 2}
    except ConfigError as error:
        sentence = str(error)
    else:
        return
    assert "Nothing was changed." in sentence
    assert len(sentence) < 400
