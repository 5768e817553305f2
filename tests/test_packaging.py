"""What is built and pinned, and that the code passes its own tools (ruff, mypy, shellcheck)."""

from __future__ import annotations

import ast
import configparser
import email
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator
from email.message import Message
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
LOCKS = ("requirements.lock", "requirements-dev.lock")
PLATFORMS = [
    {"python_version": version, "python_full_version": f"{version}.5", "sys_platform": platform}
    for version in ("3.10", "3.11", "3.12", "3.13")
    for platform in ("linux", "darwin")
]


def _run(*words: str, cwd: Path = ROOT) -> None:
    """Run a module of this Python, and show what it said where it fails."""
    finished = subprocess.run([sys.executable, "-m", *words], cwd=cwd, capture_output=True, text=True, timeout=300)
    assert finished.returncode == 0, finished.stdout + finished.stderr


def _setup() -> configparser.ConfigParser:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    return setup


def _requirements(text: str) -> list[Requirement]:
    return [Requirement(line) for line in text.splitlines() if line.strip()]


def _runtime() -> list[Requirement]:
    return _requirements(_setup()["options"]["install_requires"])


def _extra(name: str) -> list[Requirement]:
    return _requirements(_setup()["options.extras_require"][name])


def _pins(lock: str) -> list[Requirement]:
    lines = (ROOT / lock).read_text().splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def _pinned(lock: str, platform: dict[str, str]) -> dict[str, str]:
    """Name and version of everything that a lock installs on a platform; no name twice."""
    pinned: dict[str, str] = {}
    for pin in _pins(lock):
        if pin.marker is None or pin.marker.evaluate(platform):
            (specifier,) = pin.specifier
            assert specifier.operator == "==", f"{pin} is not pinned"
            assert pin.name not in pinned, f"{pin.name} is pinned twice for {platform}"
            pinned[pin.name] = specifier.version
    return pinned


# -- the wheel -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy so that the checkout stays clean."""
    source = tmp_path_factory.mktemp("source") / "galaxycnn"
    source.mkdir()
    for name in ("galaxycnn", "configs", "tests"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in ROOT.iterdir():
        if path.is_file():
            shutil.copy(path, source)
    _run("pip", "wheel", ".", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", "dist", cwd=source)
    (built,) = (source / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        return email.message_from_bytes(archive.read(name))


def test_the_wheel_holds_the_package_its_recipes_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "galaxycnn").rglob("*.py")}
    data = f"galaxycnn-{_setup()['metadata']['version']}.data/data/share/galaxycnn/configs"
    recipes = {f"{data}/{path.name}" for path in (ROOT / "configs").glob("*.yaml")}
    pretrained = (path for path in (ROOT / "galaxycnn" / "pretrained").iterdir() if path.is_file())
    networks = {path.relative_to(ROOT).as_posix() for path in pretrained}
    page = {path.relative_to(ROOT).as_posix() for path in (ROOT / "galaxycnn" / "serving" / "page").iterdir()}
    assert names == modules | {"galaxycnn/py.typed"} | recipes | networks | page


def test_the_metadata_name_what_is_needed(metadata: Message) -> None:
    assert metadata["Name"] == "galaxycnn"
    assert metadata["Version"] == _setup()["metadata"]["version"]
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Requires-Python"] == ">=3.10"
    assert {"app", "kaggle", "test", "tune"} <= set(metadata.get_all("Provides-Extra", []))
    required = {r.name for r in map(Requirement, metadata.get_all("Requires-Dist", [])) if r.marker is None}
    assert required == {r.name for r in _runtime()}


def test_the_citation_names_the_version_that_is_built() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert str(citation["version"]) == _setup()["metadata"]["version"]
    assert citation["license"] == "MIT"


def test_an_installed_wheel_answers_outside_the_checkout(wheel: Path, tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    _run("venv", "--without-pip", str(environment))
    folder = sysconfig.get_path("purelib", vars={"base": str(environment)})
    Path(folder, "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    install = ["install", "--quiet", "--no-index", "--no-deps", "--ignore-installed", str(wheel)]
    _run("pip", "--python", str(environment / "bin" / "python"), *install)

    command = [str(environment / "bin" / "galaxycnn")]
    shown = subprocess.check_output([*command, "--version"], cwd=tmp_path, text=True)
    assert shown == f"galaxycnn {_setup()['metadata']['version']}\n"
    listed = subprocess.check_output([*command, "list", "configs"], cwd=tmp_path, text=True)
    recipes = sorted(path.name for path in (ROOT / "configs").glob("*.yaml"))
    assert [Path(line.split()[0]).name for line in listed.splitlines()] == recipes
    paths = [(tmp_path / line.split()[0]).resolve() for line in listed.splitlines()]
    assert all(path.is_relative_to(environment.resolve()) for path in paths)


# -- dependencies --------------------------------------------------------------------------------


@pytest.mark.parametrize("lock", LOCKS)
def test_locks_name_no_address_and_no_path(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert "://" not in text
    assert "/" not in text
    assert all(pin.url is None for pin in _pins(lock))


@pytest.mark.parametrize("platform", PLATFORMS, ids=lambda p: f"{p['python_version']}-{p['sys_platform']}")
def test_locks_pin_every_dependency_on_every_platform(platform: dict[str, str]) -> None:
    runtime, development = (_pinned(lock, platform) for lock in LOCKS)
    for requirement in _runtime():
        assert requirement.specifier.contains(runtime[canonicalize_name(requirement.name)])
    for requirement in _extra("test"):
        assert requirement.specifier.contains(development[canonicalize_name(requirement.name)])
    assert runtime.items() <= development.items()


def _imported() -> Iterator[str]:
    for path in (ROOT / "galaxycnn").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from (alias.name.split(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield node.module.split(".")[0]


def test_every_import_of_the_package_is_a_declared_dependency() -> None:
    extras = [r for name in _setup()["options.extras_require"] if name != "test" for r in _extra(name)]
    declared = {canonicalize_name(r.name) for r in _runtime() + extras}
    homes = {"sklearn": ["scikit-learn"]} | packages_distributions()  # Python 3.10 does not find this one
    backends = {"jax", "torch"}  # asked only where the user runs Keras on it
    foreign = set(_imported()) - sys.stdlib_module_names - backends - {"galaxycnn"}
    undeclared = {name for name in foreign if not declared & {canonicalize_name(h) for h in homes.get(name, [name])}}
    assert not undeclared


# -- the project's own tools ---------------------------------------------------------------------


def test_ruff_finds_nothing() -> None:
    _run("ruff", "check", ".")


def test_the_code_is_formatted() -> None:
    _run("ruff", "format", "--check", ".")


@pytest.mark.skipif(sys.version_info < (3, 11), reason="NumPy's last release for Python 3.10 has coarser types")
def test_the_types_are_right() -> None:
    _run("mypy")


def test_the_shell_scripts_pass_shellcheck() -> None:
    shellcheck = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if shellcheck is None:
        if os.environ.get("CI"):
            pytest.fail("shellcheck is not installed")
        pytest.skip("shellcheck is not installed (it comes with requirements-dev.lock)")
    for script in (["--shell=sh", "run.zsh"], [".ci/run"]):
        finished = subprocess.run([shellcheck, *script], cwd=ROOT, capture_output=True, text=True)
        assert finished.returncode == 0, finished.stdout + finished.stderr
