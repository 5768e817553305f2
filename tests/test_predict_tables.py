"""Tables of astronomers in and out: units, sky coordinates, masks and UCDs stay what they were."""

from __future__ import annotations

from pathlib import Path

import astropy.units as u
import numpy as np
import pandas as pd
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.io.votable import parse_single_table
from astropy.io.votable import validate as validate_votable
from astropy.table import MaskedColumn, QTable, Table
from astropy.time import Time
from finished_runs import configured, finished, galaxies
from hypothesis import given, settings
from hypothesis import strategies as st

import galaxycnn
from galaxycnn.errors import DataError
from galaxycnn.predicting import predict_to_file
from galaxycnn.predicting.tables import text_of
from galaxycnn.tree import GALAXY_ZOO_2

COLUMNS = list(GALAXY_ZOO_2.columns)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = galaxies(tmp_path_factory.mktemp("tables"), 6)
    finished(configured(folder, "a"), seed=1)
    return folder


@pytest.fixture(scope="module")
def model(folder: Path) -> Path:
    return folder / "models" / "a.keras"


@pytest.fixture(scope="module")
def images(folder: Path) -> Path:
    return folder / "data" / "images_training_rev1"


@pytest.fixture
def table(images: Path) -> QTable:
    """Four galaxies with everything that a column can be; the last has no file."""
    names = [*sorted(path.name for path in images.iterdir())[:3], "gone.jpg"]
    made = QTable(meta={"survey": "made up"})
    made["file"] = names
    made["objid"] = np.arange(4) + 587741534400217110
    made["sky"] = SkyCoord([10, 20, 30, 40], [-1, -2, -3, -4], unit="deg")
    made["flux"] = np.array([1, 2, 3, 4], np.float32) / 10 * u.nJy
    made["plate"] = MaskedColumn([5, 6, 7, 8], mask=[False, True, False, False], description="of SDSS")
    made["seen"] = Time("2009-01-01") + np.arange(4) * u.day
    made["bands"] = np.arange(12.0).reshape(4, 3) * u.mag
    made["flags"] = ["mine", "", "yours", "x"]
    return made


def test_a_table_comes_back_with_the_predictions_beside_it(table: QTable, model: Path, images: Path) -> None:
    found = galaxycnn.predict(table, model, folder=images, as_table=True)
    assert type(found) is QTable and found.meta == table.meta
    assert found.colnames[:8] == [*table.colnames[:-1], "given_flags"] and "flags" in found.colnames[8:]
    assert (found["sky"] == table["sky"]).all() and found["flux"].unit == u.nJy
    assert found["plate"].mask.tolist() == [False, True, False, False] and found["plate"].info.description == "of SDSS"
    assert isinstance(found["seen"], Time) and found["bands"].shape == (4, 3)
    assert found["objid"].dtype == np.int64 and found["given_flags"].tolist() == table["flags"].tolist()
    plain = galaxycnn.predict([images / name for name in table["file"][:3]], model)
    for column in COLUMNS:
        np.testing.assert_allclose(found[column][:3], plain[column], atol=1e-6)
    assert found["flags"][3] == "unreadable" and found["reason"][3] == "No such file or directory"
    assert table.colnames[-1] == "flags", "the table that was given is left as it was"


def test_in_text_sky_coordinates_are_degrees(table: QTable, model: Path, images: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"'bands' holds an array in each row.*as_table=True"):
        galaxycnn.predict(table, model, folder=images)
    table.remove_column("bands")
    found = galaxycnn.predict(table, model, folder=images)
    assert found["ra"].tolist() == [10, 20, 30, 40] and found["dec"].tolist() == [-1, -2, -3, -4]
    assert found["flux"].tolist() == [0.1, 0.2, 0.3, 0.4] and found["seen"][1].startswith("2009-01-02T00:00")
    assert np.isnan(found["plate"][1]) and found["id"][0] == "587741534400217110"
    predict_to_file(table, tmp_path / "out.csv", model, folder=images)
    written = pd.read_csv(tmp_path / "out.csv")
    assert written["ra"].tolist() == [10, 20, 30, 40] and written["dec"].tolist() == [-1, -2, -3, -4]


def test_a_second_position_keeps_its_name() -> None:
    sky = SkyCoord([10], [-1], unit="deg")
    text = text_of(QTable({"ra": [1.0], "dec": [2.0], "star": sky}))
    assert text.loc[0].to_dict() == {"ra": "1.0", "dec": "2.0", "star.ra": "10.0", "star.dec": "-1.0"}
    both = text_of(QTable({"galaxy": sky, "star": sky}))
    assert list(both) == ["ra", "dec", "star.ra", "star.dec"]


@pytest.mark.parametrize("ending", [".fits", ".vot"])
def test_files_keep_units_and_ucds(table: QTable, model: Path, images: Path, tmp_path: Path, ending: str) -> None:
    table.remove_column("bands")
    table["angle"] = [1.0, 2, 3, 4] * u.arcsec
    table["mag"] = Table({"mag": [20.0, 21, 22, 23]})["mag"]
    table["mag"].info.meta = {"ucd": "phot.mag;em.opt.R"}
    path = tmp_path / f"out{ending}"
    predict_to_file(table, path, model, folder=images)
    if ending == ".fits":
        with fits.open(path) as units:
            units.verify("exception")
            header, columns = units[1].header, units[1].columns
            told = {c.name: (c.unit, header.get(f"TUCD{n}")) for n, c in enumerate(columns, 1)}
    else:
        assert validate_votable(path, output=None)
        told = {
            field.name: (field.unit and field.unit.to_string(), field.ucd) for field in parse_single_table(path).fields
        }
    assert told["ra"] == ("deg", "pos.eq.ra;meta.main") and told["dec"] == ("deg", "pos.eq.dec;meta.main")
    assert told["angle"][0] == "arcsec" and told["flux"][0] == "nJy"
    assert told["mag"] == (None, "phot.mag;em.opt.R") and told["Class1.1"] == (None, None)
    assert told["seen"] == (None, None)


@pytest.mark.parametrize("ending", [".ecsv", ".fits", ".vot"])
def test_tables_in_files_name_images(table: QTable, model: Path, images: Path, tmp_path: Path, ending: str) -> None:
    table.remove_columns(["bands", "sky", "seen"])
    table["ra"], table["dec"] = [10.0, 20, 30, 40] * u.deg, [-1.0, -2, -3, -4] * u.deg
    path = tmp_path / f"galaxies{ending}"
    table.write(path, format={".ecsv": "ascii.ecsv", ".fits": "fits", ".vot": "votable"}[ending])
    found = galaxycnn.predict(str(path), model, folder=images)
    assert found["ra"].tolist() == [10, 20, 30, 40] and found["given_flags"].tolist() == ["mine", "", "yours", "x"]
    assert np.isnan(found["plate"][1]) and found["Class1.1"].notna().tolist() == [True, True, True, False]
    again = galaxycnn.predict(path, model, folder=images, as_table=True)
    assert again["flux"].unit == u.nJy and again["plate"].mask.tolist() == [False, True, False, False]
    predict_to_file([str(path)], tmp_path / "out.vot", model, folder=images)
    assert parse_single_table(tmp_path / "out.vot").to_table()["flux"].unit == u.nJy


def test_fits_images_are_no_tables(model: Path, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).normal(10, 1, (40, 40)).astype(np.float32)
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(pixels), fits.BinTableHDU(Table({"a": [1]}))]).writeto(
        tmp_path / "extension.fits"
    )
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(pixels)]).writeto(tmp_path / "packed.fits")
    for name in ("extension.fits", "packed.fits"):
        assert galaxycnn.predict(tmp_path / name, model)["reason"].tolist() == [""]


def test_damaged_and_imageless_tables_are_refused(model: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.vot").write_text("<VOTABLE>")
    with pytest.raises(DataError, match=r"bad\.vot cannot be read as a table: "):
        galaxycnn.predict(tmp_path / "bad.vot", model)
    with pytest.raises(DataError, match=r"says which image.*'galaxycnn cutouts' fetches images by their positions"):
        galaxycnn.predict(Table({"RA": [1.0], "Dec": [2.0]}), model)


def test_files_without_a_table_make_one(model: Path, images: Path) -> None:
    found = galaxycnn.predict(images, model, as_table=True)
    assert isinstance(found, Table) and found.colnames[:2] == ["id", "file"] and len(found) == 6
    listed = pd.DataFrame({"file": [str(next(images.iterdir()))], "ra": [180.5], "dec": [2.5]})
    assert galaxycnn.predict(listed, model, as_table=True)["ra"].unit == u.deg


numbers = st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.floats(width=32, allow_nan=False))


@settings(max_examples=30)
@given(st.lists(st.tuples(numbers, st.integers(-(2**62), 2**62), st.booleans()), min_size=1, max_size=8))
def test_text_is_read_back_as_it_was(rows: list[tuple[float, int, bool]]) -> None:
    reals, integers, gone = zip(*rows, strict=True)
    table = QTable({"flux": np.array(reals) * u.Jy, "id": MaskedColumn(integers, mask=gone, dtype=np.int64)})
    text = text_of(table)
    assert [float(value) for value in text["flux"]] == [float(value) for value in reals]
    assert [value and int(value) for value in text["id"]] == [
        "" if g else i for i, g in zip(integers, gone, strict=True)
    ]
