"""run.zsh under zsh, bash and dash: what it passes on, what it installs and when, what it refuses.

A stand-in for Python records how it is called, so that nothing is really installed; the last test
starts the real command line through the environment that the tests run in.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
INSTALLATION = ["pip install -r requirements.lock", "pip install -e"]

# One program that is python before and in the environment, and galaxycnn in it.
STAND_IN = """#!/bin/sh
case "$*" in
    *ensurepip*) exit "${STUB_NO_VENV:-0}" ;;
    -c*) echo "${STUB_VERSION:-3.12}"; echo "$STUB"; exit ;;
    "-m venv"*) mkdir -p "$3/bin"; cp "$0" "$3/bin/python"; cp "$0" "$3/bin/galaxycnn"; exit ;;
    *" -r "*)
        printf 'pip install -r %s\\n' "${*##*/}" >>"$STUB_LOG"
        sleep "${STUB_SECONDS:-0}"
        exit "${STUB_PIP:-0}"
        ;;
    *" -e "*) echo 'pip install -e' >>"$STUB_LOG"; exit ;;
esac
printf '%s' "$(basename "$0")" >>"$STUB_LOG"
printf ' [%s]' "$@" >>"$STUB_LOG"
printf ' in %s\\n' "$(pwd -P)" >>"$STUB_LOG"
exit "${STUB_EXIT:-0}"
"""


class Checkout:
    """A copy of the files that run.zsh reads, in a folder whose name has spaces, with a stand-in Python."""

    def __init__(self, folder: Path, shell: str) -> None:
        self.shell = shell
        self.root = folder / "a check out"
        self.log = folder / "calls.log"
        self.elsewhere = folder / "else where"
        self.root.mkdir()
        self.elsewhere.mkdir()
        for name in ("run.zsh", "setup.cfg", "requirements.lock", "requirements-dev.lock"):
            shutil.copy(ROOT / name, self.root)
        stand_in = folder / "python stand-in"
        stand_in.write_text(STAND_IN)
        stand_in.chmod(0o755)
        kept = {k: v for k, v in os.environ.items() if not k.startswith("GALAXYCNN_")}
        self.environment = kept | {
            "GALAXYCNN_PYTHON": str(stand_in),
            "STUB": str(stand_in),
            "STUB_LOG": str(self.log),
        }

    @property
    def venv(self) -> Path:
        return self.root / ".venv"

    def start(self, *words: str, cwd: Path | None = None, **settings: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [self.shell, str(self.root / "run.zsh"), *words],
            cwd=cwd or self.elsewhere,
            env=self.environment | settings,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *words: str, cwd: Path | None = None, **settings: str) -> subprocess.CompletedProcess[str]:
        process = self.start(*words, cwd=cwd, **settings)
        out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def calls(self) -> list[str]:
        """What the stand-in was asked for since the last look."""
        calls = self.log.read_text().splitlines() if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        return calls


def _skip_or_fail(reason: str) -> None:
    """Something this machine lacks: a skip for a developer, a failure where the proof is owed."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(params=["zsh", "bash", "dash"])
def shell(request: pytest.FixtureRequest) -> str:
    if shutil.which(request.param) is None:
        _skip_or_fail(f"{request.param} is not installed")
    return request.param


@pytest.fixture
def checkout(tmp_path: Path, shell: str) -> Checkout:
    return Checkout(tmp_path.resolve(), shell)


@pytest.fixture
def installed(checkout: Checkout) -> Checkout:
    assert checkout.run("list").returncode == 0
    assert checkout.calls()[:2] == INSTALLATION
    return checkout


@pytest.mark.parametrize(
    ("words", "passed"),
    [
        (["configs/x.yaml", "--seed", "3"], "[train] [configs/x.yaml] [--seed] [3]"),
        (["--config", "my file.yml"], "[train] [--config] [my file.yml]"),
        (["--config=x.yaml", "--no-save_model"], "[train] [--config=x.yaml] [--no-save_model]"),
        (["train", "x.yaml"], "[train] [x.yaml]"),
        (["evaluate", "m.keras", "--images", "a  b", ""], "[evaluate] [m.keras] [--images] [a  b] []"),
        (["list", "*", "$HOME"], "[list] [*] [$HOME]"),
        (["--version"], "[--version]"),
    ],
)
def test_words_reach_the_command_line_from_the_callers_folder(
    installed: Checkout, words: list[str], passed: str
) -> None:
    assert installed.run(*words).returncode == 0
    assert installed.calls() == [f"galaxycnn {passed} in {installed.elsewhere}"]


def test_the_word_test_runs_pytest_in_the_checkout_with_tools_installed_once(installed: Checkout) -> None:
    pytest_call = f"python [-m] [pytest] [-n] [auto] [--dist] [loadfile] [-k] [a b] in {installed.root}"
    assert installed.run("test", "-k", "a b").returncode == 0
    assert installed.calls() == ["pip install -r requirements-dev.lock", pytest_call]
    assert installed.run("test", "-k", "a b").returncode == 0
    assert installed.calls() == [pytest_call]


def test_the_second_run_installs_nothing_and_says_nothing(installed: Checkout) -> None:
    second = installed.run("list")
    assert installed.calls() == [f"galaxycnn [list] in {installed.elsewhere}"]
    assert (second.stdout, second.stderr) == ("", "")


def test_a_script_beside_the_caller_and_a_relative_environment_work(checkout: Checkout) -> None:
    finished = subprocess.run(
        [checkout.shell, "run.zsh", "list"],
        cwd=checkout.root,
        env=checkout.environment | {"GALAXYCNN_VENV": "my env"},
        check=True,
        timeout=60,
        capture_output=True,
    )
    assert finished.returncode == 0
    assert checkout.calls() == [*INSTALLATION, f"galaxycnn [list] in {checkout.root}"]
    assert (checkout.root / "my env" / "bin" / "galaxycnn").exists()
    assert not checkout.venv.exists()


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ("requirements.lock", INSTALLATION),
        ("setup.cfg", ["pip install -e"]),
        ("requirements-dev.lock", []),
    ],
)
def test_a_changed_file_installs_what_depends_on_it(installed: Checkout, changed: str, expected: list[str]) -> None:
    with (installed.root / changed).open("a") as file:
        file.write("\n# changed\n")
    installed.run("list")
    assert installed.calls()[:-1] == expected


def test_another_python_version_or_a_moved_checkout_installs_again(installed: Checkout) -> None:
    installed.run("list", STUB_VERSION="3.13")
    assert installed.calls()[:-1] == INSTALLATION
    moved = installed.root.with_name("moved")
    installed.root.rename(moved)
    installed.root = moved
    installed.run("list", STUB_VERSION="3.13")
    assert installed.calls()[:-1] == INSTALLATION


@pytest.mark.parametrize("code", [1, 2, 130])
def test_exit_codes_pass_through(installed: Checkout, code: int) -> None:
    assert installed.run("list", STUB_EXIT=str(code)).returncode == code
    assert installed.run("test", STUB_EXIT=str(code)).returncode == code


def test_a_failed_installation_is_said_and_repeated(checkout: Checkout) -> None:
    failed = checkout.run("list", STUB_PIP="1")
    assert failed.returncode == 1
    assert "the same command starts it again" in failed.stderr
    assert checkout.calls() == INSTALLATION[:1]
    assert checkout.run("list").returncode == 0
    assert checkout.calls()[:2] == INSTALLATION


def test_an_interrupted_installation_leaves_no_lock_and_is_repeated(checkout: Checkout) -> None:
    process = checkout.start("list", STUB_SECONDS="30")
    _wait_until(checkout.log.exists)
    os.killpg(process.pid, signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode in (143, -signal.SIGTERM)
    assert not Path(f"{checkout.venv}.lock").exists()
    checkout.calls()
    assert checkout.run("list").returncode == 0
    assert checkout.calls()[:2] == INSTALLATION


def test_parallel_starts_install_once(checkout: Checkout) -> None:
    processes = [checkout.start("list", STUB_SECONDS="1") for _ in range(3)]
    for process in processes:
        process.communicate(timeout=60)
    assert [process.returncode for process in processes] == [0, 0, 0]
    calls = checkout.calls()
    assert calls[:2] == INSTALLATION
    assert calls[2:] == [f"galaxycnn [list] in {checkout.elsewhere}"] * 3


def test_the_lock_of_a_dead_process_is_taken_over(checkout: Checkout) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    lock = Path(f"{checkout.venv}.lock")
    lock.mkdir()
    (lock / "pid").write_text(str(dead.pid))
    assert checkout.run("list").returncode == 0
    assert checkout.calls()[:2] == INSTALLATION


@pytest.mark.parametrize("found", ["3.9", "3.14", "2.7"])
def test_an_unfit_python_is_one_sentence_and_exit_2(checkout: Checkout, found: str) -> None:
    refused = checkout.run("list", STUB_VERSION=found)
    assert refused.returncode == 2
    assert f"is Python {found}" in refused.stderr
    assert "3.10 to 3.13" in refused.stderr
    assert "apt install" in refused.stderr
    assert "brew install" in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert not checkout.venv.exists()


def test_no_python_at_all_is_one_sentence_and_exit_2(checkout: Checkout, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("dirname", "cat", "cksum", "head", "tail"):
        (tools / name).symlink_to(str(shutil.which(name)))
    checkout.shell = str(shutil.which(checkout.shell))
    refused = checkout.run("list", PATH=str(tools), GALAXYCNN_PYTHON="")
    assert refused.returncode == 2
    assert "no python3 was found" in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_python_is_looked_for_on_the_path_past_an_old_one(checkout: Checkout, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "python3").write_text("#!/bin/sh\necho 3.9\necho /usr/bin/python3\n")
    (tools / "python3.13").write_text("#!/bin/sh\nexit 127\n")
    shutil.copy(checkout.environment["STUB"], tools / "python3.12")
    for tool in tools.iterdir():
        tool.chmod(0o755)
    found = checkout.run("list", PATH=f"{tools}:{os.environ['PATH']}", GALAXYCNN_PYTHON="")
    assert found.returncode == 0, found.stderr
    assert checkout.calls()[:2] == INSTALLATION


def test_a_python_without_venv_names_the_package_to_install(checkout: Checkout) -> None:
    refused = checkout.run("list", STUB_NO_VENV="1")
    assert refused.returncode == 2
    assert "apt install python3.12-venv" in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert not checkout.venv.exists()


def test_a_folder_that_is_not_ours_is_left_alone(checkout: Checkout) -> None:
    kept = checkout.venv / "thesis.tex"
    checkout.venv.mkdir()
    kept.write_text("years of work")
    refused = checkout.run("list")
    assert refused.returncode == 2
    assert "was not made by run.zsh" in refused.stderr
    assert kept.read_text() == "years of work"
    assert not Path(f"{checkout.venv}.lock").exists()


def test_no_words_show_the_usage_and_install_nothing(checkout: Checkout) -> None:
    shown = checkout.run()
    assert shown.returncode == 0
    assert "./run.zsh CONFIG.yaml" in shown.stdout
    assert "./run.zsh test" in shown.stdout
    assert checkout.calls() == []
    assert not checkout.venv.exists()


def test_the_real_command_line_answers_at_once(shell: str) -> None:
    if not _made_by_run_zsh(Path(sys.prefix)):
        _skip_or_fail("the tests do not run in the environment that './run.zsh test' makes")
    started = time.monotonic()
    finished = subprocess.run(
        [shell, str(ROOT / "run.zsh"), "--version"],
        env=os.environ | {"GALAXYCNN_VENV": sys.prefix},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (finished.returncode, finished.stderr) == (0, "")
    assert finished.stdout == f"galaxycnn {version('galaxycnn')}\n"
    assert time.monotonic() - started < 10


def _made_by_run_zsh(environment: Path) -> bool:
    """Whether run.zsh made this environment from the present locks, and so would leave it as it is."""
    mark = environment / ".galaxycnn" / "itself"
    sums = [
        subprocess.run(["cksum"], input=(ROOT / name).read_bytes(), capture_output=True, check=True).stdout
        for name in ("requirements.lock", "setup.cfg")
    ]
    return mark.exists() and all(checksum.decode().strip() in mark.read_text() for checksum in sums)


def _wait_until(happened: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
