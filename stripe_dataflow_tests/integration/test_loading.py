"""A whole account, through a real server, a real Dagster run and a real DuckDB file."""

import dagster as dg
import duckdb
import orjson
import pytest

from stripe_dataflow.catalog import TABLES, stripe_columns


@pytest.fixture(scope="module")
def shop(make_shop):
    """Return a shop of every table, loaded twice."""
    made = make_shop(tables="all", customers=40)
    assert made.run_all_partitions().success
    assert made.run_all_partitions().success
    return made


def test_every_table_holds_exactly_the_objects_that_stripe_lists(shop):
    with shop.reading():
        wrong = {
            name: (len(landed), len(true))
            for name in TABLES
            if (landed := shop.keys(name)) != (true := shop.true_keys(name))
        }
    assert wrong == {}


def test_every_column_of_every_table_holds_what_stripe_says(shop):
    # An event's payload loses the secrets of its object: a test of its own looks at those.
    with shop.reading():
        wrong = [name for name in TABLES if name != "events" and content(shop, name) != true_content(shop, name)]
    assert wrong == []


def test_a_second_run_changes_no_row(shop):
    found = shop.query(
        "select load_id, sum(inserted), sum(updated), sum(deleted), sum(unchanged) from _dataflow.loads "
        "group by all order by all"
    )
    with shop.reading():
        rows = sum(len(shop.keys(name)) for name in TABLES)
    assert found == [(1, rows, 0, 0, 0), (2, 0, 0, 0, rows)]


def by_key(name, row):
    """Return what orders a table's rows: the id, and the key, as a capability's id repeats across accounts."""
    return [str(row.get(column, "")) for column in ("id", *TABLES[name].key)]


def content(shop, name):
    """Return each row of a table as Stripe's JSON would have it, by key."""
    columns = stripe_columns(TABLES[name])
    kinds = {"epoch_s": 'epoch("{}")::bigint', "epoch_ms": 'epoch_ms("{}")'}
    selected = ", ".join(kinds.get(c.source, '"{}"').format(c.name) for c in columns)
    found = shop.query(f'select {selected} from "{name}" where _deleted_at is null')
    rows = [
        {c.name: orjson.loads(v) if c.type == "JSON" and v else v for c, v in zip(columns, row, strict=True)}
        for row in found
    ]
    return sorted(rows, key=lambda row: by_key(name, row))


def true_content(shop, name):
    """Return each object that Stripe lists, in the columns of the table."""
    columns = stripe_columns(TABLES[name])
    rows = []
    for item in shop.account.listed(name):
        row = {c.name: item.get(c.name) for c in columns}
        for c in columns:
            if c.type.startswith("DECIMAL") and row[c.name] is not None:
                row[c.name] = pytest.approx(float(row[c.name]))
        rows.append(row)
    return sorted(rows, key=lambda row: by_key(name, row))


def test_a_materialization_tells_what_the_ui_knows_and_masks_a_persons_data(shop):
    event = shop.instance.get_latest_materialization_event(dg.AssetKey(["Shop", "customers"]))
    metadata = event.asset_materialization.metadata
    assert metadata["dagster/row_count"].value == len(shop.true_keys("customers"))
    assert metadata["dagster/table_name"].value == "shop_data.Shop.customers"
    assert metadata["dagster/uri"].value == f"duckdb://{shop.database}"
    columns = {column.name: column for column in metadata["dagster/column_schema"].schema.columns}
    assert columns["email"].type == "VARCHAR"
    assert columns["email"].description == "The customer's email address."
    assert "pii" in columns["email"].tags
    assert {
        "load id",
        "rows inserted",
        "rows updated",
        "rows deleted",
        "rows unchanged",
        "requests",
        "retries",
        "bytes",
        "seconds",
    } <= metadata.keys()
    preview = metadata["preview"].value
    assert preview.count("\n") == 11
    assert not [c["email"] for c in shop.account.listed("customers") if c["email"] and c["email"] in preview]
    assert metadata["stripe documentation"].value == "https://docs.stripe.com/api/customers"
    event = shop.instance.get_latest_materialization_event(dg.AssetKey(["Shop", "events"]))
    preview = event.asset_materialization.metadata["preview"].value
    assert preview.splitlines()[0].endswith(" data |")
    assert [line.split(" | ")[-1] for line in preview.splitlines()[2:]] == ["••• |"] * 10


def test_each_partition_has_its_materialization_and_its_row_count(shop):
    key = dg.AssetKey(["Shop", "charges"])
    records = shop.instance.fetch_materializations(dg.AssetRecordsFilter(asset_key=key), limit=100).records
    counted = {
        r.asset_materialization.partition: r.asset_materialization.metadata["dagster/partition_row_count"].value
        for r in records
    }
    true = shop.query("select strftime(created, '%Y-%m-01'), count(*) from charges group by all")
    assert {month: rows for month, rows in counted.items() if rows} == dict(true)


def test_columns_carry_stripes_sentences_as_comments(shop):
    [(comment,)] = shop.query(
        "select comment from duckdb_columns() "
        "where schema_name = 'Shop' and table_name = 'charges' and column_name = 'currency'"
    )
    assert comment.startswith("Three-letter [ISO currency code]")


def test_the_run_history_tells_of_each_run(shop):
    found = shop.query(
        "select load_id, kind, status, description, split(details, ',')[1] from _dataflow.runs order by 1"
    )
    assert found == [(1, "run", "Completed", "", "79 tables"), (2, "run", "Completed", "", "79 tables")]


def test_staging_is_empty_and_private_files_are_private_after_a_run(shop):
    staging = shop.database.with_name(f"{shop.database.name}.staging")
    assert list(staging.iterdir()) == []
    assert [oct(path.stat().st_mode & 0o777) for path in (shop.database, staging)] == ["0o600", "0o700"]


def test_no_secret_of_stripes_lands_anywhere(shop):
    data = shop.database.read_bytes()
    secrets = [item["client_secret"] for item in shop.account.listed("payment_intents") if item["client_secret"]]
    urls = [item["hosted_invoice_url"] for item in shop.account.listed("invoices") if item["hosted_invoice_url"]]
    assert secrets
    assert urls
    assert not [text for text in (*secrets, *urls) if text.encode() in data]
    with duckdb.connect(str(shop.database), read_only=True) as connection:
        payloads = connection.execute("select data from Shop.events").fetchall()
    assert not [text for text in (*secrets, *urls) if any(text in payload for (payload,) in payloads)]


SECRET, KEPT = "S3cretOfStripe", "KeptOfStripe"


def test_no_secret_inside_an_object_or_a_payload_lands_anywhere(make_shop):
    shop = make_shop(tables=[*edits_with_secrets(), "customer_sources", "events"], customers=15, days_ago=1)
    for name, fields in edits_with_secrets().items():
        object_id = shop.account.listed(name)[0]["id"]
        shop.account.update(name, object_id, **fields)
        shop.account.update(name, object_id, **dict.fromkeys(fields))  # whose event, if any, tells the old values
        shop.account.update(name, object_id, **fields)
    state, customer = shop.account.state, shop.account.parent_ids("customer_sources")[0]
    redirect = {"status": "pending", "url": SECRET, "return_url": KEPT}
    fields = {"redirect": redirect, "client_secret": SECRET, "customer": customer}
    state.add("customer_sources", parents=(customer,), kind="Source", event="customer.source.created", **fields)
    portal = {"object": "billing_portal.session", "id": KEPT, "url": SECRET}
    state.report("billing_portal.session.created", portal)
    told = orjson.dumps(shop.account.listed("events")).decode()
    assert told.count(SECRET) > 10
    assert shop.failures(shop.run_all_partitions()) == {}
    tables = [name for (name,) in shop.query("select table_name from duckdb_tables() where schema_name = 'Shop'")]
    found = {name: repr(shop.query(f'select * from "{name}"')) for name in tables}
    assert {name for name, text in found.items() if KEPT in text} == set(tables)
    assert {name for name, text in found.items() if SECRET in text} == set()
    assert SECRET.encode() not in shop.database.read_bytes()


def edits_with_secrets():
    """Return table -> fields that hold secrets below the top level, each beside something that is kept."""
    redirect = {"url": SECRET, "return_url": KEPT}
    source = {"object": "source", "id": KEPT, "client_secret": SECRET, "redirect": redirect}
    intent = {"object": "payment_intent", "id": KEPT, "client_secret": SECRET, "last_payment_error": {"source": source}}
    mandate = {"object": "mandate", "id": KEPT, "payment_method_details": {"sepa_debit": {"url": SECRET}}}
    code = {"data": SECRET, "hosted_instructions_url": SECRET, "expires_at": KEPT}
    action = {"redirect_to_url": redirect, "pix_display_qr_code": code, "use_stripe_sdk": {"stripe_js": SECRET}}
    return {
        "charges": {"source": source, "payment_method_details": {"card": {"mandate": mandate}}},
        "checkout_sessions": {"after_expiration": {"recovery": {"url": SECRET, "enabled": KEPT}}},
        "invoices": {
            "confirmation_secret": {"client_secret": SECRET, "type": KEPT},
            "last_finalization_error": {"payment_intent": intent},
        },
        "payment_intents": {"next_action": action, "last_payment_error": {"payment_intent": intent}},
        "setup_intents": {"next_action": action, "last_setup_error": {"setup_intent": intent}},
    }
