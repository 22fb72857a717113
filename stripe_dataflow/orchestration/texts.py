"""What no text of a dataflow's YAML may hold, and which texts are an address or a file."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from stripe_dataflow.errors import ConfigError
from stripe_dataflow.stripe_api import holds_key

ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
A_KEY = (
    "{} holds an API key. Put the key into an environment variable, give that variable's name as api_key_env, "
    "and roll the key in Stripe, as this file may be in version control."
)
_NO_CHARACTER = re.compile("[\\0\\ud800-\\udfff]")
_FILE_NAME_BYTES = 200  # of the 255 most disks allow, for what we append to it


def refuse_texts(data: Any) -> None:
    """Refuse a key anywhere, and characters that no file, database or name can hold; neither is repeated.

    Raises:
        ConfigError: There is one.
    """
    waiting: list[tuple[str, Any]] = [("", data)]
    seen: set[int] = set()
    while waiting:  # no recursion: YAML nests as deep as it likes, and an alias can hold itself
        attribute, value = waiting.pop()
        if isinstance(value, str):
            _refuse_text(attribute, value)
        elif isinstance(value, dict | list) and id(value) not in seen:
            seen.add(id(value))
            if isinstance(value, dict):
                waiting += [(attribute or str(name), item) for name, item in value.items()]
            waiting += [(attribute, item) for item in value]


def _refuse_text(attribute: str, text: str) -> None:
    if holds_key(text):
        known = ENV_NAME.fullmatch(attribute) and not holds_key(attribute)
        raise ConfigError(A_KEY.format(attribute if known else "an attribute"))
    if _NO_CHARACTER.search(text):
        raise ConfigError("the attributes hold a NUL or half of a surrogate pair, which no text may hold.")


def is_address(url: str) -> bool:
    """Tell whether requests can go there; a user or password in it would be told in every error."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    plain = url.isascii() and url.isprintable() and " " not in url
    return (
        plain and parts.scheme in {"http", "https"} and bool(parts.hostname) and port != 0 and "@" not in parts.netloc
    )


def is_file(path: str) -> bool:
    """Tell whether a path can name a file."""
    parts = path.strip().split("/")
    return parts[-1] not in {"", ".", ".."} and all(len(part.encode()) <= _FILE_NAME_BYTES for part in parts)
