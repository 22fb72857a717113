"""The key is on no disk: not in Dagster's own storage, whatever the far end sends back of the request."""

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import dagster as dg
import orjson

from stripe_dataflow_tests.faults.shops import KEY

# Stripe itself repeats a key's end in its errors; what stands behind the mode is the secret.
TAIL = KEY[-12:].encode()

CHOSEN = ["customers", "charges"]
# Status, and whether a proxy's page comes with it in the place of Stripe's error.
ECHOES = ((401, False), (403, False), (404, False), (500, True), (200, True))


class Echo(BaseHTTPRequestHandler):
    """A far end that puts all of the request into its answer."""

    status, html = 401, False

    def do_GET(self):
        told = f"{self.command} {self.path} {dict(self.headers)}"
        assert KEY in told
        error = {"type": "invalid_request_error", "message": f"Invalid API Key provided: {KEY}. {told}", "param": told}
        body = f"<html><pre>{told}</pre></html>".encode() if self.html else orjson.dumps({"error": error})
        self.send_response(self.status, f"no {KEY}")
        self.send_header("Content-Type", "text/html" if self.html else "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Request-Id", f"req_{KEY}")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *args):  # noqa: A002 as http.server calls it
        """Print nothing."""


@contextmanager
def echoing(status, *, html):
    """Yield the address of a far end that echoes."""
    handler = type("Echoing", (Echo,), {"status": status, "html": html})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def leaks(folder):
    """Return the files below a folder that hold the secret."""
    return [path for path in folder.rglob("*") if path.is_file() and TAIL in path.read_bytes()]


def test_a_key_that_every_fault_echoes_is_in_no_byte_of_dagsters_storage(changed, trial, tmp_path, monkeypatch):
    begun = trial(changed)
    with dg.DagsterInstance.local_temp(str(tmp_path), {"telemetry": {"enabled": False}}) as instance:
        monkeypatch.setattr(changed, "instance", instance)
        with echoing(200, html=True) as closed:
            pass
        for status, html in ECHOES:
            with echoing(status, html=html) as url:
                assert len(changed.failures(changed.run(select=CHOSEN, api_base=url))) == len(CHOSEN)
        unheard = changed.run(select=CHOSEN, api_base=closed)  # nobody listens there any more
        assert len(changed.failures(unheard)) == len(CHOSEN)
        assert list(tmp_path.rglob("runs.db"))
        assert [*leaks(tmp_path), *leaks(changed.database.parent)] == []
        begun.holds()
        begun.settles(
            "answers that echo the key; refused connection", len(ECHOES) + 1, "the run fails, the next one completes"
        )
        assert leaks(tmp_path) == []
