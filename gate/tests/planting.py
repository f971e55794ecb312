"""A copy of the house in which every service has every module, to plant violations in."""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
MEMBERS = sorted(
    str(project.parent.relative_to(ROOT))
    for pattern in ("*/pyproject.toml", "services/*/pyproject.toml")
    for project in ROOT.glob(pattern)
)
LAYERS = (
    "api", "application", "domain", "main", "outbound", "policies", "projections", "queries",
    "settings", "worker",
)  # fmt: skip


def copy_house(house: Path) -> Path:
    """The members without their tests, with an empty module wherever a service lacks one."""
    for name in ("pyproject.toml", ".importlinter"):
        house.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, house / name)
    for member in MEMBERS:
        unwanted = shutil.ignore_patterns("tests", "__pycache__", "target")
        shutil.copytree(ROOT / member, house / member, ignore=unwanted)
    for service in house.glob("services/*/*_svc"):
        for layer in LAYERS:
            if not (service / layer).is_dir():
                (service / f"{layer}.py").touch()
    return house


def plant(house: Path, module: str, source: str) -> str:
    """Appends `source` to a module, `deal_svc.domain`; says where its last line is: `path:line`."""
    package, *names = module.split(".")
    [root] = [path.parent for path in house.glob(f"**/{package}/__init__.py")]
    path = root.joinpath(*names)
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    text = f"{path.read_text() if path.exists() else ''}\n{source}\n"
    path.write_text(text)
    return f"{path.relative_to(house)}:{len(text.splitlines())}"


def run_tool(house: Path, name: str, *arguments: str, cwd: str = ".") -> str:
    """What the tool prints, without colours; members are imported from the copy."""
    done = subprocess.run(
        [Path(sys.executable).parent / name, *arguments],
        cwd=house / cwd,
        env={
            "PYTHONPATH": ":".join(str(house / member) for member in MEMBERS),
            "COLUMNS": "250",
            "NO_COLOR": "1",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout + done.stderr
