"""The real galaxies: the Galaxy Zoo challenge, fetched through Kaggle's own client."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

from galaxycnn.errors import MissingExtra, UserError
from galaxycnn.files import atomic_path

COMPETITION = "galaxy-zoo-the-galaxy-challenge"
IMAGES, LABELS = "images_training_rev1", "training_solutions_rev1.csv"

_ACCOUNT = (
    "1. make an account at https://www.kaggle.com; "
    f"2. accept the rules at https://www.kaggle.com/competitions/{COMPETITION}/rules; "
    "3. make an API token at https://www.kaggle.com/settings/api and save it as ~/.kaggle/access_token "
    "(a kaggle.json goes to ~/.kaggle/kaggle.json); "
    "4. run this again"
)


def download_kaggle(folder: str | Path) -> Path:
    """Fetch the training images and vote fractions of Kaggle's Galaxy Challenge (about 1 GB).

    Makes ``images_training_rev1/<GalaxyID>.jpg`` (61,578 of them) and ``training_solutions_rev1.csv``;
    what is there already is not fetched again, and an interrupted download leaves nothing half done.

    Returns:
        The folder.

    Raises:
        UserError: the client is not installed, or Kaggle does not let this account in; the message
            says what to do.
    """
    folder = Path(folder)
    missing = [name for name in (LABELS, IMAGES) if not (folder / name).exists()]
    if missing:
        client = _client()
        for name in missing:
            _fetch(client, name, folder)
    return folder


def _client() -> Any:
    """Kaggle's client, logged in."""
    try:
        import kaggle
    except ImportError as error:
        raise MissingExtra("downloading from Kaggle", "kaggle") from error
    except (Exception, SystemExit) as error:  # it logs in on import, and complains in many ways
        raise UserError(f"Kaggle asks for an account and an API token: {_ACCOUNT}") from error
    return kaggle.api


def _fetch(client: Any, name: str, folder: Path) -> None:
    """Download ``<name without .csv>.zip`` and unpack ``name`` out of it."""
    archive = f"{name.removesuffix('.csv')}.zip"
    with atomic_path(folder / name) as unpacked:
        try:
            client.competition_download_file(COMPETITION, archive, path=str(unpacked.parent))
        except (Exception, SystemExit) as error:
            raise UserError(_refusal(error, archive)) from error
        downloaded = unpacked.parent / archive
        try:
            with zipfile.ZipFile(downloaded) as zipped:
                zipped.extractall(unpacked.parent)
        except (OSError, zipfile.BadZipFile) as error:
            raise UserError(f"{archive} cannot be unpacked into {folder}: {error}") from error
        if not unpacked.exists():
            raise UserError(f"{archive} of Kaggle does not hold {name}")


def _refusal(error: BaseException, archive: str) -> str:
    status = getattr(getattr(error, "response", None), "status_code", None) or getattr(error, "status", None)
    if status in (401, 403) or isinstance(error, SystemExit):
        return f"Kaggle does not let this account download {archive}: {_ACCOUNT}"
    return f"{archive} cannot be downloaded from Kaggle: {error or type(error).__name__}"
