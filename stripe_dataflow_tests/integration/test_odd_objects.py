"""Whole runs over odd objects and odd names: landed as they are, or refused with the tables as they were."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from stripe_dataflow_tests.integration.test_objects_fuzz import page


@contextmanager
def answering(bodies: dict[str, bytes]) -> Iterator[str]:
    """Yield the address of a server that answers paths with bodies, and any other list with an empty one."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = bodies.get(self.path.partition("?")[0], page([]))
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 as the base class names it
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def customer(text: str) -> bytes:
    """Return a page of a whole customer and of one with some more JSON text."""
    whole = b'{"id": "cus_1", "object": "customer", "created": 1750000000, "name": "new"}, '
    odd = f'{{"id": "cus_2", "object": "customer", "created": 1750000001, {text}}}'.encode()
    return page([]).replace(b"[]", b"[" + whole + odd + b"]")


ODD = [
    pytest.param('"name": "Ann\\ud800"', "the value of name of object cus_2 cannot be kept", id="half a pair"),
    pytest.param('"metadata": {"\\udfff": 1}', "the value of metadata of object cus_2 cannot be kept", id="in a key"),
    pytest.param('"balance": NaN', "the value of balance of object cus_2 cannot be kept", id="not a number"),
    pytest.param('"balance": 1e999', "the value of balance of object cus_2 cannot be kept", id="beyond a double"),
    pytest.param('"balance": 9223372036854775808', "Shop.customers.balance does not fit", id="beyond 64 bits"),
    pytest.param('"balance": 1.5', "Shop.customers.balance does not fit: the value of object cus_2", id="a fraction"),
    pytest.param('"delinquent": "maybe"', "Shop.customers.delinquent does not fit", id="neither true nor false"),
    pytest.param('"created": "soon"', "created does not fit: the value of object cus_2 is no time", id="no time"),
    pytest.param('"id": null', "object 2 of the page has no id", id="no id"),
    pytest.param('"metadata": ' + '{"a":' * 300 + "1" + "}" * 300, "cus_2 nests too deep", id="nested 300 deep"),
]


def test_a_whole_run_refuses_what_cannot_be_kept_and_leaves_the_tables_as_they_were(make_shop):
    account = b'{"id": "acct_1", "object": "account"}'
    bodies = {"/v1/customers": customer('"name": "old"'), "/v1/account": account}
    with answering(bodies) as url:
        shop = make_shop(customers=1, tables=["customers"], api_base=url)
        assert shop.failures(shop.run_all_partitions()) == {}
        before = shop.rows()
        for case in ODD:
            text, sentence = case.values
            bodies["/v1/customers"] = customer(str(text))
            failure = shop.failures(shop.run_all_partitions())["customers"]
            assert str(sentence) in failure
            assert "Traceback" not in failure
            assert "Ann" not in failure
            assert shop.rows() == before
            assert list(shop.database.with_name("shop_data.duckdb.staging").iterdir()) == []
        bodies["/v1/customers"] = customer('"name": "a\\u0000b😀", "name": "last\\u0000", "new": {"x": 1}')
        assert shop.failures(shop.run_all_partitions()) == {}
        assert shop.query("select name, _extra from customers order by id") == [
            ("new", None),
            ("last\0", '{"new":{"x":1}}'),
        ]


def test_ids_of_a_users_own_choice_are_asked_for_as_they_are(make_shop):
    shop = make_shop(customers=5, tables=["coupons", "customers", "customer_tax_ids"], days_ago=2)
    assert shop.failures(shop.run()) == {}
    shop.account.advance(shop.account.now + 3600)
    odd = "25% off?#é now"
    shop.account.create("coupons", id=odd)
    shop.account.update("coupons", odd, name="spring")
    assert shop.failures(shop.run()) == {}
    assert shop.query(f"select name from coupons where id = '{odd}'") == [("spring",)]
    assert shop.keys("coupons") == shop.true_keys("coupons")


def test_names_that_are_sql_keywords_run_roll_back_and_go(make_shop):
    tables = [{"table": "charges", "name": "from", "exclude": ["description"]}, "refunds"]
    shop = make_shop(customers=5, name="Select", tables=tables)
    assert shop.failures(shop.run()) == {}
    assert shop.failures(shop.run_all_partitions()) == {}
    count = len(shop.account.listed("charges"))
    assert shop.query('select count(*) from "Select"."from"') == [(count,)]
    assert shop.operate("rollback", to="previous").success
    assert shop.operate("remove", confirm="Select", dry_run=False).success
    assert shop.query("select count(*) from duckdb_tables() where schema_name = 'Select'") == [(0,)]
