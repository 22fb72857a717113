"""Bad YAML: one clear sentence, before anything is touched, and never a key."""

import pytest

from stripe_dataflow.catalog import CORE, TABLES
from stripe_dataflow.errors import ConfigError
from stripe_dataflow.orchestration.attributes import Attributes

REFUSED = [
    pytest.param({}, "the attribute 'name' is required.", id="no name"),
    pytest.param({"name": "1abc"}, "the name '1abc' is refused", id="a name that starts with a digit"),
    pytest.param({"name": "a b"}, "the name 'a b' is refused", id="a name with a space"),
    pytest.param({"name": "a_b"}, "the name 'a_b' is refused", id="a name with an underscore"),
    pytest.param({"name": ""}, "the name '' is refused", id="an empty name"),
    pytest.param({"name": "Main"}, "and be none of information_schema, main,", id="a reserved name in another case"),
    pytest.param({"databse": "x"}, "unknown attribute 'databse'; did you mean 'database'?", id="a misspelt attribute"),
    pytest.param({"zzz": 1}, "unknown attribute 'zzz'; valid are account, api_base,", id="an attribute like no other"),
    pytest.param({"tables": ["chargs"]}, "unknown table 'chargs'; did you mean 'charges'?", id="a misspelt table"),
    pytest.param({"tables": []}, "tables is empty", id="no table"),
    pytest.param({"tables": ["charges", "charges"]}, "both land in 'charges'", id="a table twice"),
    pytest.param(
        {"tables": [{"table": "charges", "name": "x"}, {"table": "refunds", "name": "X"}]},
        "tables charges and refunds would both land in 'x'.",
        id="two tables to one name, case ignored",
    ),
    pytest.param(
        {"tables": [{"table": "charges", "name": "a b"}]}, "the destination name 'a b'", id="a destination with a space"
    ),
    pytest.param(
        {"tables": [{"table": "customers", "exclude": ["emial"]}]},
        "table customers: unknown column 'emial' in exclude; did you mean 'email'?",
        id="a misspelt column",
    ),
    pytest.param(
        {"tables": [{"table": "customers", "exclude": ["id"]}]}, "rows are found by it", id="the key excluded"
    ),
    pytest.param({"tables": [{"table": "charges", "hash": ["amount"]}]}, "a hash is a text", id="a number hashed"),
    pytest.param(
        {"tables": [{"tabel": "charges"}]}, "unknown attribute 'tabel'; did you mean 'table'?", id="in a table"
    ),
    pytest.param({"start_date": "tomorrow"}, "must be a date such as 2024-01-31.", id="a start that is no date"),
    pytest.param({"start_date": "2999-01-01"}, "start_date 2999-01-01 lies in the future.", id="a start to come"),
    pytest.param({"partitions": "hourly"}, "input should be 'monthly', 'weekly' or 'daily'", id="unknown partitions"),
    pytest.param(
        {"purpose": "cdp"}, "input should be 'all', 'customer_360' or 'privacy_metadata'", id="unknown purpose"
    ),
    pytest.param({"api_base": "ftp://x"}, "must be 'sandbox' or a URL", id="an address that is no URL"),
    pytest.param({"requests_per_second": 0}, "input should be greater than 0", id="a rate of zero"),
    pytest.param({"keep_loads": 0}, "input should be greater than or equal to 1", id="no load kept"),
    pytest.param(
        {"schedule": {"corn": "* * * * *"}}, "unknown attribute 'corn'; did you mean 'cron'?", id="in a schedule"
    ),
]


@pytest.mark.parametrize(("attributes", "sentence"), REFUSED)
def test_a_bad_attribute_is_refused_with_one_sentence(attributes, sentence):
    given = attributes if not attributes or "name" in attributes else {"name": "Shop", **attributes}
    with pytest.raises(ConfigError) as refused:
        Attributes(**given)
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("key", ["sk_live_51Secret", "rk_test_51Secret", "pk_live_51Secret"])
def test_a_key_in_the_yaml_is_refused_without_repeating_it(key):
    with pytest.raises(ConfigError) as refused:
        Attributes(name="Shop", api_key_env=key)
    assert "api_key_env holds an API key" in str(refused.value)
    assert "51Secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("tables", "names"),
    [
        pytest.param("all", set(TABLES), id="all"),
        pytest.param("core", {table.name for table in CORE}, id="core"),
        pytest.param(["charges", {"table": "refunds", "name": "money_back"}], {"charges", "refunds"}, id="a list"),
    ],
)
def test_tables_can_be_all_core_or_a_list(tables, names):
    assert {choice.table for choice in Attributes(name="Shop", tables=tables).choices()} == names


def test_the_defaults_are_those_of_the_contract():
    made = Attributes(name="Shop")
    assert made.model_dump(mode="json") == {
        "name": "Shop", "display_name": "", "description": "", "api_key_env": "STRIPE_API_KEY",
        "api_base": "https://api.stripe.com", "account": "", "database": "warehouse.duckdb",
        "start_date": "2020-01-01", "partitions": "monthly", "tables": ["customers"], "purpose": "all",
        "schedule": None, "requests_per_second": None, "requests_per_second_per_endpoint": None,
        "keep_loads": 30, "sandbox": {"customers": 1000, "seed": 1},
    }  # fmt: skip


def shop(tables, **attributes):
    """Return the attributes of a dataflow as its YAML would have them."""
    return Attributes(**{"name": "Shop", "tables": tables, **attributes})


KEPT_BACK = [
    pytest.param({"table": "customers", "purpose": "privacy_metadata"}, id="no row lands"),
    pytest.param({"table": "customers", "exclude": ["email"]}, id="a column excluded"),
    pytest.param({"table": "customers", "hash": ["email"]}, id="a column hashed"),
]


@pytest.mark.parametrize("customers", KEPT_BACK)
def test_a_payload_beside_a_table_whose_data_is_kept_back_is_refused(customers):
    with pytest.raises(ConfigError) as refused:
        shop(["charges", "events", customers])
    assert str(refused.value) == (
        "Dataflow Shop: the table events would land whole objects of customers in its column 'data', although data of "
        "customers is kept back (purpose privacy_metadata, exclude or hash): "
        "write {table: events, exclude: [data]}, or leave events out."
    )


def test_a_payload_is_refused_too_where_the_dataflows_purpose_keeps_the_others_back():
    with pytest.raises(ConfigError, match="the table events would land whole objects of customers"):
        shop(["customers", {"table": "events", "purpose": "all"}], purpose="privacy_metadata")


@pytest.mark.parametrize("customers", KEPT_BACK)
@pytest.mark.parametrize(
    "events",
    [
        pytest.param({"exclude": ["data"]}, id="no payload"),
        pytest.param({"hash": ["data"]}, id="its hash"),
        pytest.param({"purpose": "privacy_metadata"}, id="no event"),
    ],
)
def test_events_beside_a_table_whose_data_is_kept_back_may_land_without_their_payload(customers, events):
    assert len(shop([customers, {"table": "events", **events}]).choices()) == 2


@pytest.mark.parametrize("purpose", ["all", "customer_360", "privacy_metadata"])
@pytest.mark.parametrize("tables", ["all", "core", ["customers", {"table": "events", "exclude": ["request"]}]], ids=str)
def test_events_may_land_where_nothing_else_is_kept_back(tables, purpose):
    assert "events" in {choice.table for choice in shop(tables, purpose=purpose).choices()}
