"""The rights of a restricted key: every table names its own and its parents', no two names for one list."""

import pytest

from stripe_dataflow.catalog import TABLES
from stripe_dataflow.catalog.rights import NAMES, Right, rights


@pytest.mark.parametrize("name", TABLES)
def test_a_table_needs_the_right_to_its_own_list_and_to_those_that_lead_to_it(name):
    table = TABLES[name]
    words = [right.words for right in rights(table, TABLES)]
    assert words[0] == table.right
    assert set(words[1:]) >= {TABLES[parent.table].right for parent in table.parents} - {table.right}
    assert len(words) == len(set(words))


def test_every_name_belongs_to_a_list_of_the_catalog():
    assert NAMES.keys() <= {table.right for table in TABLES.values()}
    assert rights(TABLES["prices"], TABLES) == (Right("prices", "rak_plan_read"),)
