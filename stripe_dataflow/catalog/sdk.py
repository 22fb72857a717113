"""What the installed `stripe` package says of Stripe's objects, read from its source by AST.

Nothing here imports a class of the package: its annotations are only complete in the text, and
importing all of it costs seconds. Reading one class costs 5 to 50 ms, so callers cache.
"""

from __future__ import annotations

import ast
import importlib.util
import re
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from pathlib import Path

SDK_VERSION = version("stripe")


@cache
def package_dir() -> Path:
    """Return the folder of the installed `stripe` package."""
    spec = importlib.util.find_spec("stripe")
    if spec is None or spec.origin is None:
        message = "the stripe package is not installed"
        raise ModuleNotFoundError(message)
    return Path(spec.origin).parent


@cache
def api_version() -> str:
    """Return the API version the SDK is generated for, such as `2026-10-28.endive`."""
    text = (package_dir() / "_api_version.py").read_text(encoding="utf-8")
    return re.findall(r'CURRENT = "([^"]+)"', text)[0]


@dataclass(frozen=True, slots=True)
class Field:
    """One annotated field: its annotation as source text, and Stripe's sentence about it."""

    name: str
    annotation: str
    description: str

    @property
    def nullable(self) -> bool:
        """Tell whether the field may be null or absent."""
        return self.annotation.startswith("Optional[") or self.name == "deleted"


@dataclass(frozen=True, slots=True)
class SdkClass:
    """One class of the SDK: its fields in the package's order, its nested classes, its encodings."""

    name: str
    object_name: str
    description: str
    fields: tuple[Field, ...]
    inner: dict[str, SdkClass] = field(default_factory=dict)


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


@cache
def read_class(dotted: str) -> SdkClass:
    """Return a class by its dotted name below `stripe`, such as `checkout.Session`.

    Raises:
        LookupError: The installed package has no such class.
    """
    *folders, name = dotted.split(".")
    path = package_dir().joinpath(*folders, f"_{_snake(name)}.py")
    if path.is_file():
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and node.name == name:
                return _read(node)
    message = f"stripe {SDK_VERSION} has no class stripe.{dotted}"
    raise LookupError(message)


@cache
def classes_named_in(dotted: str) -> dict[str, str]:
    """Return name -> dotted class below `stripe`, of what a class's annotations may name."""
    *folders, name = dotted.split(".")
    path = package_dir().joinpath(*folders, f"_{_snake(name)}.py")
    found = {name: dotted}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("stripe."):
            place = node.module.split(".")[1:-1]
            found |= {alias.asname or alias.name: ".".join([*place, alias.name]) for alias in node.names}
    return found


def _read(node: ast.ClassDef) -> SdkClass:
    fields: list[Field] = []
    inner: dict[str, SdkClass] = {}
    object_name = ""
    for here, after in zip(node.body, [*node.body[1:], None], strict=True):
        if isinstance(here, ast.ClassDef):
            inner[here.name] = _read(here)
        elif isinstance(here, ast.AnnAssign) and isinstance(here.target, ast.Name):
            annotation = ast.unparse(here.annotation)
            if here.target.id == "OBJECT_NAME":
                object_name = ast.literal_eval(here.value) if here.value else ""
            elif not annotation.startswith("ClassVar"):
                fields.append(Field(here.target.id, annotation, _docstring(after)))
    return SdkClass(node.name, object_name, ast.get_docstring(node) or "", tuple(fields), inner)


def _docstring(node: ast.stmt | None) -> str:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return " ".join(node.value.value.split())
    return ""


@cache
def object_classes() -> tuple[str, ...]:
    """Return every class of the package that says what the `object` of its objects is, by its dotted name."""
    found: list[str] = []
    for path in sorted(package_dir().rglob("_*.py")):
        text = path.read_text(encoding="utf-8")
        folders = path.relative_to(package_dir()).parts[:-1]
        names = re.findall(r"^class (\w+)\(.*\n(?:(?!class ).*\n)*?    OBJECT_NAME: ", text, flags=re.MULTILINE)
        found += [".".join([*folders, name]) for name in names if name != "APIResource"]
    return tuple(found)


def list_endpoints() -> dict[str, str]:
    """Return every list endpoint of the SDK: path with `{param}` placeholders -> service class."""
    found: dict[str, str] = {}
    for path in sorted(package_dir().rglob("_*_service.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                found |= dict.fromkeys(_list_paths(node), node.name)
    return found


def _list_paths(service: ast.ClassDef) -> list[str]:
    """Return the paths a service's `list` asks for: a literal, or a format with a parent's id."""
    paths: list[str] = []
    for method in service.body:
        if isinstance(method, ast.FunctionDef) and method.name == "list":
            text = ast.unparse(method)
            paths += re.findall(r"'(/v[12]/[^']+)'", text)
    return paths
