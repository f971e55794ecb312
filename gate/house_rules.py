"""House rules that no other tool knows: what a module of each kind may not say.

`python gate/house_rules.py ROOT` prints each finding as `path:line: rule` and exits 1 if any.
"""

import ast
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

MEMBERS = ("contracts", "chassis", "approvals", "services/*", "ops")

# Nothing below api, worker and main reads a clock, a random source or the environment.
BELOW_THE_EDGE = {
    "application", "domain", "outbound", "policies", "projections", "queries", "settings",
}  # fmt: skip
CLOCKS = {"datetime.now", "datetime.utcnow", "datetime.today", "date.today"}
RANDOM_IDS = {"uuid1", "uuid4", "uuid6", "uuid7", "uuid8"}
CHANCE_MODULES = {"random", "secrets"}
IO_MODULES = {
    "asyncio", "http", "io", "multiprocessing", "os", "pathlib", "shutil", "socket", "sqlite3",
    "ssl", "subprocess", "tempfile", "threading", "urllib",
}  # fmt: skip
DUMPS = {"model_dump", "model_dump_json", "dumps", "to_json", "dict", "json", "repr", "vars"}
EMPTY_NAMES = {
    "base", "common", "data", "handler", "helper", "helpers", "info", "processor", "util", "utils",
}  # fmt: skip
NAMED_BY_LIBRARIES = {"get_route_handler"}  # FastAPI asks a route for it
PUBLISHED_NAME = re.compile(r"prm\.[a-z][a-z-]*(\.[A-Z]\w+\.v\d+)?")


@dataclass(frozen=True)
class Module:
    """One parsed file: `package` is its member's (`deal_svc`), `layer` its first name below."""

    path: Path
    package: str
    layer: str
    tree: ast.Module

    @property
    def is_service(self) -> bool:
        return self.package.endswith("_svc")

    @property
    def is_domain(self) -> bool:
        return self.layer == "domain" or self.package == "approvals"

    @property
    def is_below_the_edge(self) -> bool:
        return self.is_domain or (self.is_service and self.layer in BELOW_THE_EDGE)


@dataclass(frozen=True)
class Finding:
    path: Path
    line: int
    rule: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.rule}"


def modules(root: Path) -> Iterator[Module]:
    """Every module of every member's package below `root`, tests left out.

    Raises SyntaxError, which names its file.
    """
    for member in MEMBERS:
        for package in sorted(root.glob(f"{member}/*/__init__.py")):
            for path in sorted(package.parent.rglob("*.py")):
                relative = path.relative_to(package.parent).with_suffix("")
                tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
                yield Module(path.relative_to(root), package.parent.name, relative.parts[0], tree)


def dotted(node: ast.expr) -> str:
    """`datetime.datetime.now` for that chain of attributes; an empty text for anything else."""
    match node:
        case ast.Name():
            return node.id
        case ast.Attribute():
            parent = dotted(node.value)
            return f"{parent}.{node.attr}" if parent else ""
        case _:
            return ""


def imported(tree: ast.AST) -> Iterator[tuple[ast.stmt, str]]:
    """Every imported name in full (`uuid.uuid4`), with the statement that imports it."""
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                yield from ((node, alias.name) for alias in node.names)
            case ast.ImportFrom(level=0):
                yield from ((node, f"{node.module}.{alias.name}") for alias in node.names)


def apply_only_assigns(module: Module) -> Iterator[tuple[int, str]]:
    """A rule checked in an apply runs on replay, and tightening it makes history unloadable."""
    if not module.is_domain:
        return
    for function in ast.walk(module.tree):
        if isinstance(function, ast.FunctionDef) and function.name == "apply":
            for node in ast.walk(function):
                if isinstance(node, ast.Raise | ast.Assert):
                    yield node.lineno, "apply only assigns: no raise, no assert in it"


def facts_are_matched_to_the_end(module: Module) -> Iterator[tuple[int, str]]:
    """Without assert_never the type checker does not see a fact that a match forgot."""
    if not (module.is_domain or module.layer == "projections"):
        return
    for node in ast.walk(module.tree):
        match node:
            case ast.Match(subject=ast.Name("fact") | ast.Attribute(attr="fact"), cases=[*_, last]):
                if "assert_never(" not in ast.unparse(last.body[0]):
                    yield (
                        last.pattern.lineno,
                        "a match over a fact ends in `case _: assert_never(...)`",
                    )


def no_clock_below_the_edge(module: Module) -> Iterator[tuple[int, str]]:
    """Time is an argument of a command: replay and the story clock depend on it."""
    if not module.is_below_the_edge:
        return
    for statement, name in imported(module.tree):
        if name.split(".")[0] == "time":
            yield statement.lineno, "no clock below api, worker and main: time is an argument"
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute) and ".".join(dotted(node).split(".")[-2:]) in CLOCKS:
            yield node.lineno, "no clock below api, worker and main: time is an argument"


def no_chance_below_the_edge(module: Module) -> Iterator[tuple[int, str]]:
    """Ids are derived from the command's, so that a repeat clashes instead of doubling."""
    if not module.is_below_the_edge:
        return
    rule = "no random source below api, worker and main: ids are derived"
    for statement, name in imported(module.tree):
        first, last = name.split(".")[0], name.split(".")[-1]
        if first in CHANCE_MODULES or (first == "uuid" and last in RANDOM_IDS):
            yield statement.lineno, rule
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute):
            first, _, last = dotted(node).partition(".")
            if (first, last) == ("os", "urandom") or (first == "uuid" and last in RANDOM_IDS):
                yield node.lineno, rule


def no_input_or_output_in_domain(module: Module) -> Iterator[tuple[int, str]]:
    """The domain is plain and synchronous; what it must know is handed to it."""
    if not module.is_domain:
        return
    for statement, name in imported(module.tree):
        if name.split(".")[0] in IO_MODULES:
            yield statement.lineno, "no I/O in domain"
    for node in ast.walk(module.tree):
        if isinstance(node, ast.AsyncFunctionDef | ast.Await):
            yield node.lineno, "no I/O in domain: it is not async"
        if isinstance(node, ast.Call) and dotted(node.func) in {"open", "input", "print"}:
            yield node.lineno, "no I/O in domain"


def ids_never_derive_from_a_dump(module: Module) -> Iterator[tuple[int, str]]:
    """A new field of the model would move every id: uuid5 goes over parts that are spelt out."""
    scopes = [n for n in ast.walk(module.tree) if isinstance(n, ast.FunctionDef | ast.Module)]
    found = set()
    for scope in scopes:
        tainted = {
            target.id
            for node in ast.walk(scope)
            if isinstance(node, ast.Assign) and _dumps(node.value, set())
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        found |= {
            node.lineno
            for node in ast.walk(scope)
            if isinstance(node, ast.Call) and dotted(node.func).split(".")[-1] == "uuid5"
            for argument in [*node.args, *(keyword.value for keyword in node.keywords)]
            if _dumps(argument, tainted)
        }
    for line in sorted(found):
        yield line, "uuid5 never over a dumped model: spell out the parts"


def _dumps(expression: ast.expr, tainted: set[str]) -> bool:
    return any(
        (isinstance(node, ast.Call) and _called(node) in DUMPS)
        or (isinstance(node, ast.Name) and node.id in tainted)
        for node in ast.walk(expression)
    )


def _called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else dotted(call.func)


def settings_alone_read_the_environment(module: Module) -> Iterator[tuple[int, str]]:
    """One frozen settings class a service: an operator finds every knob in one place."""
    if not (module.is_service or module.is_domain) or module.layer == "settings":
        return
    rule = "only settings reads the environment"
    for statement, name in imported(module.tree):
        if name in {"os.environ", "os.environb", "os.getenv"}:
            yield statement.lineno, rule
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute) and dotted(node) in {"os.environ", "os.getenv"}:
            yield node.lineno, rule


def chassis_knows_no_published_name(module: Module) -> Iterator[tuple[int, str]]:
    """A mechanism that knows a topic or a fact serves one service only."""
    if module.package != "chassis":
        return
    for node in ast.walk(module.tree):
        match node:
            case ast.Constant(value=str() as text) if PUBLISHED_NAME.fullmatch(text):
                yield node.lineno, f"chassis knows no topic and no fact: {text}"


def names_say_something(module: Module) -> Iterator[tuple[int, str]]:
    """A thing named util or helper is named after nothing that it does."""
    definitions = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    named = [(n.lineno, n.name) for n in ast.walk(module.tree) if isinstance(n, definitions)]
    for line, name in [(1, module.path.stem), *named]:
        if name in NAMED_BY_LIBRARIES:
            continue
        words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)
        for word in sorted(EMPTY_NAMES & {word.lower() for word in words}):
            yield line, f"a name says what a thing does: not `{word}` as in {name}"


RULES = (
    apply_only_assigns,
    chassis_knows_no_published_name,
    facts_are_matched_to_the_end,
    ids_never_derive_from_a_dump,
    names_say_something,
    no_chance_below_the_edge,
    no_clock_below_the_edge,
    no_input_or_output_in_domain,
    settings_alone_read_the_environment,
)


def tests_are_no_packages(root: Path) -> Iterator[Finding]:
    """Two packages named tests hide each other; siblings import `from .cast import ...`."""
    for member in (*MEMBERS, "gate", "."):
        for path in root.glob(f"{member}/tests/**/__init__.py"):
            yield Finding(path.relative_to(root), 1, "tests are no packages: no __init__.py")


def findings(root: Path) -> Iterable[Finding]:
    for module in modules(root):
        for rule in RULES:
            yield from (Finding(module.path, line, text) for line, text in rule(module))
    yield from tests_are_no_packages(root)


def main() -> int:
    try:
        found = list(findings(Path(sys.argv[1])))
    except SyntaxError as error:
        sys.exit(f"{error.filename}:{error.lineno}: {error.msg}")
    print(*found, sep="\n", end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
