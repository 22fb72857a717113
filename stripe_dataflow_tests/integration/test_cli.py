"""The command `stripe-dataflow`, as another process, from a new dataflow to its history."""

import csv
import json
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from stripe_dataflow.sandbox import Account, Faults, Sandbox

COMMANDS = ("new", "connect", "rights", "demo", "load", "tables", "list", "history", "versions", "plan", "connectors")


def run(project, *arguments, code=0, **environment):
    """Return what a command printed, after checking its exit code."""
    done = project.run("stripe-dataflow", *arguments, **environment)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout if code == 0 else done.stdout + done.stderr


def edit(project, name, **attributes):
    """Change attributes of a dataflow's YAML."""
    path = project.folder / "stripe_dataflow" / "defs" / name / "defs.yaml"
    content = yaml.safe_load(path.read_text())
    content["attributes"] |= attributes
    path.write_text(json.dumps(content))


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(Account(customers=8, seed=2), faults=Faults()) as server:
        yield server


def test_help_names_every_command_and_needs_no_dagster(project):
    text = run(project, "--help")
    assert [name for name in COMMANDS if not re.search(rf"^  {name} ", text, re.MULTILINE)] == []


def test_every_command_answers_before_there_is_a_database(project):
    project.add("shop", name="Shop", tables=["customers"])
    assert [line["status"] for line in json.loads(run(project, "list", "--json"))] == ["New"]
    assert run(project, "history", "shop", "--json") == "[]\n"
    assert run(project, "versions", "Shop", "--json") == "[]\n"
    assert "not yet" in run(project, "tables", "Shop")
    assert run(project, "plan", "Shop") == "customers: new, will be loaded in full into customers\n"
    text = run(project, "history", "Shp", code=1)
    assert text == "Error: There is no dataflow 'Shp'; there are Shop.\n"
    assert list(project.folder.rglob("*.duckdb*")) == []


def test_a_new_dataflow_asks_again_for_a_refused_name_and_is_listed(project):
    project.add("other", name="Other", tables=["customers"])
    asked = subprocess.run(
        [Path(sys.executable).with_name("stripe-dataflow"), "new"], cwd=project.folder, env=project.environment(),
        input="my shop\nOTHER\nShop\nMy shop\n\nSHOP_KEY\n", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert asked.returncode == 0, asked.stderr
    assert "it must start with a letter, hold only letters and digits" in asked.stdout + asked.stderr
    assert "There is a dataflow OTHER already" in asked.stdout + asked.stderr
    assert "stripe-dataflow connect Shop" in asked.stdout
    lines = {line["name"]: line for line in json.loads(run(project, "list", "--json"))}
    assert {name: (line["display_name"], line["tables"]) for name, line in lines.items()} == {
        "Other": ("Other", 1),
        "Shop": ("My shop", 1),
    }
    assert "Error: Invalid value for '--name'" in run(
        project, "new", "--name", "1abc", "--display-name", "", "--description", "", "--api-key-env", "K", code=2
    )


def test_dg_scaffolds_the_same_file_and_refuses_the_same_names(project):
    project.add("other", name="Other")  # without a defs folder dg takes another place
    command = ("dg", "scaffold", "defs", "stripe_dataflow.StripeDataflow")
    done = project.run(*command, "Shop", "--display-name", "My shop")
    assert done.returncode == 0, done.stderr
    path = project.folder / "stripe_dataflow" / "defs" / "Shop" / "defs.yaml"
    answers = ("--display-name", "My shop", "--description", "", "--api-key-env", "STRIPE_API_KEY")
    run(project, "new", "--name", "Two", *answers)
    two = (project.folder / "stripe_dataflow" / "defs" / "two" / "defs.yaml").read_text()
    assert path.read_text() == two.replace("name: Two", "name: Shop")
    refused = project.run(*command, "my_shop")
    assert refused.returncode != 0
    assert "Traceback" not in refused.stderr
    assert "must start with a letter, hold only letters and digits" in refused.stderr + refused.stdout
    assert not path.parents[1].joinpath("my_shop").exists()
    checked = project.run("dg", "check", "defs")
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_rights_names_what_a_restricted_key_needs_for_each_table_and_its_parents(project):
    project.add("shop", name="Shop", tables=["prices", "subscription_items", "radar_value_list_items"])
    text = run(project, "rights", "Shop")
    assert re.search(r"prices +│ prices +│ rak_plan_read", text)
    assert re.search(r"subscription_items +│ subscription items, subscriptions +│ rak_subscription_read", text)
    assert re.search(r"events +│ events +│ rak_event_read", text)
    [link] = re.findall(r"https://\S+", text)
    asked = parse_qs(urlsplit(link).query)
    assert asked["permissions[]"] == ["rak_event_read", "rak_plan_read", "rak_subscription_read"]
    assert "by hand, as Stripe names no right for them: radar value list items, radar value lists." in text


def test_connect_prints_what_the_key_may_read_and_fails_where_a_table_is_unreadable(project, sandbox):
    project.add(
        "shop", name="Shop", api_base=sandbox.url, api_key_env="SHOP_KEY", tables=["customers", "issuing_cards"]
    )
    text = run(project, "connect", "Shop", SHOP_KEY="rk_test_secretpart")
    assert re.search(r"^Account: acct_\w+ \(.*\), test mode$", text, re.MULTILINE)
    assert re.search(r"customers +│ readable", text)
    sandbox.faults.keys = {"rk_test_secretpart": frozenset({"/v1/issuing"})}
    text = run(project, "connect", "Shop", code=1, SHOP_KEY="rk_test_secretpart")
    sandbox.faults.keys = None
    assert re.search(r"issuing_cards +│ forbidden +│ rak_issuing_card_read", text)
    assert "Error: The next run of Shop would fail 1 of 2 tables: issuing_cards." in text
    assert "secretpart" not in text
    assert "The environment variable SHOP_KEY is not set" in run(project, "connect", "Shop", code=1)


def test_after_a_load_and_a_failed_run_the_history_tells_both_in_every_form(project, sandbox):
    project.add(
        "shop", name="Shop", api_base=sandbox.url, api_key_env="SHOP_KEY", tables=["products", "coupons"],
        start_date="2025-01-01", schedule={"cron": "0 5 * * *", "timezone": "Asia/Tokyo"},
    )  # fmt: skip
    assert re.search(r"products +│ all +│ +\d+ │", run(project, "load", "Shop", SHOP_KEY="sk_test_1"))
    run(project, "load", "Shop", code=1)
    done, failed = json.loads(run(project, "history", "Shop", "--json"))[::-1]
    assert (done["status"], failed["status"]) == ("Completed", "Failed")
    assert "The environment variable SHOP_KEY is not set" in failed["description"]
    assert "(times in Asia/Tokyo)" in run(project, "history", "Shop")
    assert [run_["load"] for run_ in json.loads(run(project, "history", "Shop", "--failed", "--json"))] == [2]
    assert [run_["load"] for run_ in json.loads(run(project, "history", "Shop", "--limit", "1", "--json"))] == [2]
    counts = run(project, "history", "Shop", "--group-by", "status", "--json")
    assert json.loads(counts) == [{"status": "Completed", "runs": 1}, {"status": "Failed", "runs": 1}]
    run(project, "history", "Shop", "--csv", "runs.csv")
    with (project.folder / "runs.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["description"] for row in rows] == [failed["description"], ""]
    assert rows[0]["started"].endswith("+00:00")
    assert "cannot be written" in run(project, "history", "Shop", "--csv", "none/runs.csv", code=1)
    [version] = json.loads(run(project, "versions", "Shop", "--json"))
    assert (version["load"], version["kind"], version["tables"], version["rollback_to_it"]) == (1, "run", 2, True)
    assert set(re.findall(r"(\w+) \+\d+", version["difference"])) <= {"products", "coupons"}
    assert json.loads(run(project, "list", "--group-by", "status", "--json")) == [{"status": "Failed", "dataflows": 1}]
    edit(project, "shop", tables=[{"table": "products", "purpose": "privacy_metadata"}, "customers"])
    unchecked, narrowed, added, left_out = run(project, "plan", "Shop").splitlines()
    assert unchecked.startswith("Not checked whether the key is of acct_")
    assert "SHOP_KEY is not set" in unchecked
    assert narrowed == (
        "products: is now for privacy_metadata, but holds rows: every run refuses it until Shop__remove has removed "
        "them (tables: [products])"
    )
    assert added == "customers: new, will be loaded in full into customers"
    assert left_out == "coupons: no longer chosen; its rows stay in coupons, marked inactive"
    edit(project, "shop", tables=[{"table": "products", "name": "goods", "purpose": "customer_360"}, "coupons"])
    assert run(project, "plan", "Shop").splitlines()[1:] == [
        "products: will be loaded in full into goods; products stays as it is",
        "products: purpose changes from all to customer_360",
    ]


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        pytest.param(("--search", "STRI"), True, id="part of the name"),
        pytest.param(("--category", "services_and_apps"), True, id="the category"),
        pytest.param(("--search", "oracle"), False, id="no hit"),
    ],
)
def test_connectors_are_searched(project, arguments, found):
    text = run(project, "connectors", *arguments, code=0 if found else 1)
    assert ("stripe_dataflow.StripeDataflow" in text) is found
    assert found or text == "Error: No connector matches; there is Stripe (Services and apps).\n"
