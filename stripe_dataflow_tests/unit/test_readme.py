"""The README says what the code does."""

import re
from pathlib import Path

import pytest

from stripe_dataflow.catalog import TABLES
from stripe_dataflow.orchestration.attributes import Attributes

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_readme_names_every_attribute_with_its_default():
    named = set(re.findall(r"^\| `(\w+)`(?:, `(\w+)`)? \|", README, flags=re.MULTILINE))
    assert {name for pair in named for name in pair} >= set(Attributes.model_fields)


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)
def test_the_readme_names_every_table_with_what_it_holds(table):
    assert f"| `{table.name}` | {table.description}" in README


def test_the_first_screen_is_short_and_shows_the_two_commands():
    first = README.split("\n## ")[0].splitlines()
    assert len(first) <= 40
    assert {"$ make demo", "$ make dev"} <= set(first)


def test_every_file_the_readme_links_to_is_there():
    links = re.findall(r"\]\((?!https?:|#)([^)]+)\)", README) + re.findall(r"`(stripe_dataflow/[^`]+)`", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_every_make_target_the_readme_names_is_in_the_makefile():
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    named = set(re.findall(r"(?:`|\$ )make (\w+)", README))
    assert {"demo", "dev", "test", "check", "browser"} <= named <= targets
