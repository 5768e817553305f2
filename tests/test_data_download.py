"""Downloading from Kaggle, with a client that is made up: there is no network in tests."""

from __future__ import annotations

import sys
import types
import zipfile
from pathlib import Path

import pytest

from galaxycnn.data.download import download_kaggle
from galaxycnn.errors import UserError


class FakeClient:
    """Serves zip files with the names and contents of the competition's, and counts."""

    def __init__(self, error: BaseException | None = None, contents: dict[str, dict[str, str]] | None = None) -> None:
        self.error = error
        self.asked: list[str] = []
        self.contents = contents or {
            "images_training_rev1.zip": {
                "images_training_rev1/100008.jpg": "one",
                "images_training_rev1/100023.jpg": "two",
            },
            "training_solutions_rev1.zip": {"training_solutions_rev1.csv": "GalaxyID,Class1.1\n"},
        }

    def competition_download_file(self, competition: str, file_name: str, path: str) -> None:
        assert competition == "galaxy-zoo-the-galaxy-challenge"
        self.asked.append(file_name)
        if self.error is not None:
            raise self.error
        with zipfile.ZipFile(Path(path) / file_name, "w") as archive:
            for name, text in self.contents[file_name].items():
                archive.writestr(name, text)


@pytest.fixture
def install(monkeypatch):
    def with_client(client: FakeClient) -> FakeClient:
        module = types.ModuleType("kaggle")
        module.api = client
        monkeypatch.setitem(sys.modules, "kaggle", module)
        return client

    return with_client


def refused(status: int) -> Exception:
    error = OSError(f"{status} Client Error")
    error.response = types.SimpleNamespace(status_code=status)
    return error


def test_the_layout_that_arrives(tmp_path, install):
    client = install(FakeClient())
    assert download_kaggle(tmp_path / "zoo") == tmp_path / "zoo"
    files = sorted(path.relative_to(tmp_path / "zoo").as_posix() for path in (tmp_path / "zoo").rglob("*"))
    assert files == [
        "images_training_rev1",
        "images_training_rev1/100008.jpg",
        "images_training_rev1/100023.jpg",
        "training_solutions_rev1.csv",
    ]
    download_kaggle(tmp_path / "zoo")
    assert client.asked == ["training_solutions_rev1.zip", "images_training_rev1.zip"]


def test_without_the_client_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "kaggle", None)
    with pytest.raises(UserError, match=r"the extra galaxycnn\[kaggle\]"):
        download_kaggle(tmp_path)


@pytest.mark.parametrize(
    "login",
    ["raise OSError('Could not find kaggle.json')", "raise ValueError('Missing username')", "import sys; sys.exit(1)"],
)
def test_without_an_account_the_steps_are_named(tmp_path, monkeypatch, login):
    (tmp_path / "kaggle.py").write_text(login)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "kaggle", raising=False)
    with pytest.raises(UserError) as raised:
        download_kaggle(tmp_path / "zoo")
    for step in (
        "https://www.kaggle.com;",
        "galaxy-zoo-the-galaxy-challenge/rules",
        "API token",
        "~/.kaggle/access_token",
    ):
        assert step in str(raised.value)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (refused(401), "does not let this account download training_solutions_rev1.zip: 1. make an account"),
        (refused(403), "accept the rules at https://www.kaggle.com/competitions/galaxy-zoo"),
        (SystemExit(1), "does not let this account"),
        (ConnectionError("no route to host"), "cannot be downloaded from Kaggle: no route to host"),
    ],
)
def test_refusals_and_failures_leave_nothing_behind(tmp_path, install, error, message):
    install(FakeClient(error))
    with pytest.raises(UserError, match=message):
        download_kaggle(tmp_path / "zoo")
    assert list((tmp_path / "zoo").iterdir()) == []


def test_an_archive_without_the_file(tmp_path, install):
    install(FakeClient(contents={"training_solutions_rev1.zip": {"other.csv": ""}}))
    with pytest.raises(
        UserError, match=r"training_solutions_rev1.zip of Kaggle does not hold training_solutions_rev1.csv"
    ):
        download_kaggle(tmp_path)
