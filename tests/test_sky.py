"""Cutouts by position, from a local server that answers as those of surveys do, with all that may go wrong."""

from __future__ import annotations

import io
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

import astropy.units as u
import numpy as np
import pandas as pd
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import QTable, Table
from finished_runs import configured, finished, galaxies
from galaxy_files import pixels
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import galaxycnn
from galaxycnn.cli import main
from galaxycnn.errors import DataError, UserError
from galaxycnn.registry import SURVEYS
from galaxycnn.sky import Fetched, fetch_cutouts
from galaxycnn.sky import client as client_module
from galaxycnn.sky.client import Client
from galaxycnn.sky.positions import Positions
from galaxycnn.sky.survey import Cutout

pytest.importorskip("requests")
pytest.importorskip("tenacity")


class Server(ThreadingHTTPServer):
    """Stands in for the servers of the Legacy Surveys, of SDSS and of the CDS.

    What goes wrong is asked for by right ascension: ``troubles[ra]`` lists what the first requests for it get.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.troubles: dict[float, list[str]] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.times: list[float] = []
        self.agents: Counter[str] = Counter()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def count(self, ra: float) -> int:
        return sum(right_ascension(asked) == ra for _, asked in self.asked)


class Answers(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        where = urlparse(self.path)
        asked = {name: values[0] for name, values in parse_qs(where.query).items()}
        self.server.asked.append((where.path, asked))
        self.server.times.append(time.monotonic())
        self.server.agents[self.headers["User-Agent"]] += 1
        ra = right_ascension(asked)
        troubles = self.server.troubles.get(ra, [])
        trouble = troubles[min(self.server.count(ra), len(troubles)) - 1] if troubles else ""
        form = "fits" if "fits" in where.path and asked.get("format", "fits") == "fits" else "jpg"
        size = int(asked.get("size") or asked["width"])
        content, kind = picture(int(ra), size, form), f"image/{form}"
        status, headers, length = 200, {}, None
        match trouble.split():
            case ["status", number, *after]:
                status, content, kind = int(number), b"<html>Sorry</html>", "text/html"
                headers = {"Retry-After": after[0]} if after else {}
            case ["cut"]:
                length, content = len(content), content[: len(content) // 2]
            case ["half"]:
                content = content[: len(content) // 2]
            case ["page"]:
                content, kind = b"<html><h1>No such layer</h1></html>", "text/html; charset=utf-8"
            case ["black"]:
                content = encoded(Image.new("RGB", (size, size)))
            case ["small"]:
                content = picture(1, size // 2, form)
            case ["hang"]:
                time.sleep(1.5)
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(length or len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        try:
            self.wfile.write(content)
        except OSError:
            self.close_connection = True


def right_ascension(asked: dict[str, str]) -> float:
    return round(float(asked["ra"]), 6)


def encoded(image: Image.Image) -> bytes:
    content = io.BytesIO()
    image.save(content, "JPEG", quality=95)
    return content.getvalue()


def picture(seed: int, size: int, form: str) -> bytes:
    if form == "jpg":
        return encoded(Image.fromarray(pixels(seed, size)))
    content = io.BytesIO()
    fits.PrimaryHDU(np.moveaxis(pixels(seed, size), 2, 0).astype(np.float32)).writeto(content)
    return content.getvalue()


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield server
        server.shutdown()


def quick(**changes: Any) -> Client:
    return Client(**{"rate": 1000.0, "timeout": 5.0, "tries": 3, "pause": 0.01, **changes})


def fetched(server: Server, table: Any, folder: Path, survey: str = "legacy", **words: Any) -> Fetched:
    return fetch_cutouts(table, folder, survey, **{"size": 64, "url": server.url, "client": quick(), **words})


def sky(*ra: float) -> pd.DataFrame:
    return pd.DataFrame({"id": [f"g{each:g}" for each in ra], "ra": ra, "dec": [5.0] * len(ra)})


# -- what goes right -----------------------------------------------------------------------------


def test_cutouts_are_listed_as_predictions_take_them(server: Server, tmp_path: Path) -> None:
    finished(configured(galaxies(tmp_path, 6), "a"))
    table = sky(10, 20, 30).assign(plate=[7, 8, 9], file=["old.jpg"] * 3)
    done = fetched(server, table, tmp_path / "cutouts")
    assert done.files == ["g10.jpg", "g20.jpg", "g30.jpg"] and done.missing is None and done.new == 3
    listed = pd.read_csv(done.path)
    assert list(listed) == ["file", "ra", "dec", "id", "plate", "given_file"] and listed["ra"].tolist() == [10, 20, 30]
    assert (tmp_path / "cutouts" / "g20.jpg").read_bytes() == picture(20, 64, "jpg"), "files are kept as they came"
    found = galaxycnn.predict(done.path, tmp_path / "models" / "a.keras")
    assert found["id"].tolist() == ["g10", "g20", "g30"] and found["plate"].tolist() == [7, 8, 9]
    assert found["Class1.1"].notna().all() and found["ra"].tolist() == [10, 20, 30]
    assert server.agents == {f"galaxycnn/{galaxycnn.__version__}": 3}


def test_tables_with_sky_coordinates_are_predicted_in_memory(server: Server, tmp_path: Path) -> None:
    finished(configured(galaxies(tmp_path, 6), "a"))
    server.troubles = {20.0: ["status 404"]}
    table = QTable({"sky": SkyCoord([10, 20], [5, 6], unit="deg").galactic, "flux": [1, 2] * u.nJy})
    done = fetched(server, table, tmp_path / "cutouts")
    assert done.files == ["J004000.00+050000.0.jpg", ""]
    table["file"] = done.files
    seen = table[table["file"] != ""]
    found = galaxycnn.predict(seen, tmp_path / "models" / "a.keras", folder=tmp_path / "cutouts", as_table=True)
    assert found["flux"].unit == u.nJy and found["sky"].icrs.ra.deg[0] == pytest.approx(10)
    assert found["reason"].tolist() == [""]


@pytest.mark.parametrize(
    ("survey", "words", "path", "asked"),
    [
        ("legacy", {}, "/jpeg-cutout", {"layer": "ls-dr10", "pixscale": "0.262", "size": "64", "dec": "5.0"}),
        ("legacy", {"form": "fits", "bands": "grz", "layer": "ls-dr9"}, "/fits-cutout", {"bands": "grz"}),
        ("sdss", {"scale": 0.3}, "/dr18/SkyServerWS/ImgCutout/getjpeg", {"scale": "0.3", "width": "64"}),
        ("hips", {}, "", {"hips": "CDS/P/PanSTARRS/DR1/color-i-r-g", "fov": str(64 * 0.25 / 3600), "format": "jpg"}),
        ("hips", {"form": "fits", "layer": "CDS/P/DSS2/red"}, "/hips2fits", {"format": "fits", "projection": "TAN"}),
    ],
)
def test_surveys_are_asked_in_their_words(
    server: Server, tmp_path: Path, survey: str, words: dict[str, Any], path: str, asked: dict[str, str]
) -> None:
    if survey == "hips":
        pytest.importorskip("astroquery")
        words = {**words, "url": server.url + path}
    done = fetched(server, sky(10), tmp_path, survey, **words)
    assert done.missing is None, done.missing.read_text()
    [(where, parameters)] = server.asked
    assert where in (path, path or "/") and parameters.items() >= asked.items() and float(parameters["ra"]) == 10


def test_every_survey_asks_its_own_server() -> None:
    for name, survey in SURVEYS.items():
        if name == "hips":
            pytest.importorskip("astroquery")
        url, asked = survey().request(Cutout(190.1, 1.2, 256, 0.3))
        assert url.startswith("https://") and {asked["ra"], asked["dec"]} == {190.1, 1.2}


def test_the_scale_may_depend_on_the_galaxy(server: Server, tmp_path: Path) -> None:
    table = sky(10, 20, 30).assign(petroR90_r=[20, 40, None])
    done = fetched(server, table, tmp_path, "sdss", scale="0.02*petroR90_r")
    assert {asked["ra"]: asked["scale"] for _, asked in server.asked} == {"10.0": "0.4", "20.0": "0.8"}
    assert pd.read_csv(done.missing)["reason"].tolist() == ["it has no scale"]


# -- what goes wrong -----------------------------------------------------------------------------


def test_what_cannot_be_had_has_a_reason(server: Server, tmp_path: Path) -> None:
    server.troubles = {
        **{10.0: ["status 404"], 20.0: ["status 500"], 30.0: ["page"], 40.0: ["black"], 50.0: ["small"]},
        **{60.0: ["half"], 70.0: ["cut"], 80.0: ["status 429 9999"], 90.0: ["hang"]},
    }
    table = sky(10, 20, 30, 40, 50, 60, 70, 80, 90, 100)
    table.loc[10] = ["nowhere", np.nan, 5.0]
    table.loc[11] = ["beyond", 10.0, 95.0]
    done = fetched(server, table, tmp_path, client=quick(timeout=0.5))
    reasons = pd.read_csv(done.missing, index_col="id")["reason"]
    assert done.files == [""] * 9 + ["g100.jpg", "", ""]
    for name, reason in {
        "g10": "the server says 404 Not Found",
        "g20": "the server says 500 Internal Server Error",
        "g30": "the server sent words instead of a picture: No such layer",
        "g40": "blank: the survey has no image there",
        "g50": "it has 32x32 pixels instead of 64x64",
        "g60": "the picture is damaged: ",
        "g70": "the answer of the server was cut short",
        "g80": "the server asks to come back in 9,999 s",
        "g90": "the server gave no answer within 0.5 s",
        "nowhere": "it has no position",
        "beyond": "it has no position",
    }.items():
        assert reasons[name].startswith(reason), name
    tries = {10: 1, 20: 3, 30: 1, 40: 1, 50: 1, 60: 3, 70: 3, 80: 1, 90: 3, 100: 1}
    assert {ra: server.count(ra) for ra in tries} == tries
    assert {path.name for path in tmp_path.iterdir()} == {
        *("g100.jpg", "cutouts.csv", "cutouts.json", "not_fetched.csv"),
    }
    assert str(done) == f"{done.path}: 1 cutouts; 11 not fetched, {done.missing} says why"


def test_what_passes_is_waited_for(server: Server, tmp_path: Path) -> None:
    server.troubles = {
        **{10.0: ["status 500", ""], 20.0: ["cut", "half", ""], 30.0: ["status 429 1", ""], 40.0: ["status 503", ""]},
        50.0: ["hang", ""],
    }
    started = time.monotonic()
    done = fetched(server, sky(10, 20, 30, 40, 50), tmp_path, client=quick(timeout=0.5))
    assert done.missing is None and [server.count(ra) for ra in (10, 20, 30, 40, 50)] == [2, 3, 2, 2, 2]
    assert time.monotonic() - started > 1, "it came back before the server had asked it to"


def test_a_wait_that_a_server_asks_for_holds_for_all(server: Server, tmp_path: Path) -> None:
    server.troubles = {10.0: ["status 429 1", ""]}
    fetched(server, sky(10, *range(20, 32)), tmp_path, workers=2)
    gaps = np.diff(server.times)
    assert gaps.max() > 0.9 and np.argmax(gaps) < 4


def test_an_unreachable_server_is_not_asked_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []
    once = client_module.Client._once
    monkeypatch.setattr(client_module.Client, "_once", lambda self, *words: (tried.append(1), once(self, *words))[1])
    closed = Server()
    closed.server_close()
    done = fetched(closed, sky(*range(10, 60)), tmp_path, client=quick(tries=10))
    reasons = pd.read_csv(done.missing)["reason"]
    assert len(reasons) == 50 and reasons.str.startswith("the server cannot be reached").all() and len(tried) < 75
    assert len(pd.read_csv(done.path)) == 0


def test_requests_are_spaced(server: Server, tmp_path: Path) -> None:
    fetched(server, sky(*range(10, 16)), tmp_path, client=quick(rate=20))
    assert server.times[-1] - server.times[0] > 0.9 * 5 / 20


def test_what_is_there_is_kept(server: Server, tmp_path: Path) -> None:
    server.troubles = {20.0: ["status 404", ""]}
    first = fetched(server, sky(10, 20, 30), tmp_path)
    assert first.new == 2 and first.missing is not None
    (tmp_path / "g10.jpg").write_bytes(b"mine")
    again = fetched(server, sky(10, 20, 30), tmp_path)
    assert again.new == 1 and again.missing is None and not (tmp_path / "not_fetched.csv").exists()
    assert (tmp_path / "g10.jpg").read_bytes() == b"mine" and [server.count(ra) for ra in (10, 20, 30)] == [1, 2, 1]
    assert str(again) == f"{again.path}: 3 cutouts (2 of them were there)"
    with pytest.raises(UserError, match=r"holds cutouts of size 64, not 80: name another folder"):
        fetched(server, sky(10), tmp_path, size=80)
    assert json.loads((tmp_path / "cutouts.json").read_text())["size"] == 64


def test_an_interruption_waits_for_nothing(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server.troubles = {20.0: ["status 503 300"]}

    class Interrupted:
        def __init__(self, *_: Any) -> None: ...
        def __enter__(self) -> Interrupted:
            return self

        def __exit__(self, *_: Any) -> None: ...
        def add_task(self, *_: Any, **__: Any) -> None: ...
        def advance(self, *_: Any) -> None:
            raise KeyboardInterrupt

    monkeypatch.setattr("galaxycnn.sky.fetching.progress_bar", Interrupted)
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        fetched(server, sky(10, *[20 + n / 100 for n in range(8)]), tmp_path)
    assert time.monotonic() - started < 20 and (tmp_path / "g10.jpg").exists()


# -- what is asked for ---------------------------------------------------------------------------


@given(st.floats(0, 359.99), st.floats(-89.9, 89.9))
@settings(max_examples=25)
def test_positions_are_read_however_they_are_written(ra: float, dec: float) -> None:
    place = SkyCoord(ra, dec, unit="deg")
    hours = place.ra.to_string("hourangle", sep=":", precision=6, pad=True)
    degrees = place.dec.to_string("deg", sep=":", precision=5, pad=True, alwayssign=True)
    tables = [
        pd.DataFrame({"RA": [ra], "DEC": [dec]}),
        pd.DataFrame({"ra": [hours], "dec": [degrees]}),
        QTable({"RAJ2000": [ra / 15] * u.hourangle, "DEJ2000": [np.deg2rad(dec)] * u.rad}),
        QTable({"galaxy": place.galactic.reshape(1)}),
    ]
    by_ucd = Table({"alpha": [ra], "delta": [dec]})
    by_ucd["alpha"].meta, by_ucd["delta"].meta = {"ucd": "pos.eq.ra;meta.main"}, {"ucd": "pos.eq.dec;meta.main"}
    for table in [*tables, by_ucd]:
        found = Positions.of(table)
        assert SkyCoord(found.ra, found.dec, unit="deg")[0].separation(place).arcsec < 1e-3
        assert not len(found.known.columns)


def test_names_of_files_are_safe_and_differ(tmp_path: Path) -> None:
    table = pd.DataFrame({"name": ["NGC 4414", "../x/y", ""], "ra": [1.0, 2, 3], "dec": [4.0, 5, 6]})
    assert Positions.of(table).names == ["NGC_4414", "x_y", "J001200.00+060000.0"]
    with pytest.raises(DataError, match=r"2 galaxies are called a; give each a name in a column 'id'"):
        Positions.of(pd.DataFrame({"id": ["a", "a"], "ra": [1.0, 2], "dec": [4.0, 5]}))


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ({"survey": "legcy"}, "there is no survey 'legcy'; did you mean 'legacy'"),
        ({"survey": "sdss", "bands": "grz"}, "the survey 'sdss' has no 'bands'"),
        ({"form": "fit"}, "no files of the form 'fit'; did you mean 'fits'"),
        ({"survey": "sdss", "size": 50}, "have 64 to 2048 pixels across, not 50"),
        ({"scale": "0.02*petroR90"}, "there is no column 'petroR90'; did you mean 'petroR90_r'"),
        ({"scale": 0}, "the scale 0 has to be above 0"),
        ({"table": pd.DataFrame({"x": [1.0]})}, r"the table has no positions: name two of its columns \(x\)"),
    ],
)
def test_mistakes_are_said_before_anything_is_asked(
    server: Server, tmp_path: Path, words: dict[str, Any], reason: str
) -> None:
    table = words.pop("table", sky(10).assign(petroR90_r=20))
    with pytest.raises(UserError, match=reason):
        fetched(server, table, tmp_path / "cutouts", **words)
    assert not server.asked and not (tmp_path / "cutouts").exists()


def test_the_command_fetches(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sky(10, 20).to_csv(tmp_path / "galaxies.csv", index=False)
    words = ["cutouts", str(tmp_path / "galaxies.csv"), "-o", str(tmp_path / "out"), "--url", server.url]
    assert main([*words, "--size", "64", "--rate", "100"]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'out' / 'cutouts.csv'}: 2 cutouts\n"
    assert main([*words, "--survey", "hpis"]) == 2
    assert "there is no survey 'hpis'; did you mean 'hips'?" in capsys.readouterr().err
    assert main([*words, "--rate", "0"]) == 2
    assert "rate and timeout are above 0" in capsys.readouterr().err
