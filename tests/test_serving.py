"""The HTTP endpoint: what it says, what it refuses, and that nothing is left behind."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

import cv2
import httpx
import numpy as np
import pytest
from astropy.io import fits
from galaxy_files import votes
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from served import CLASSES, galaxy_file, plain_png, serving, small_model

import galaxycnn
from galaxycnn.cli import main
from galaxycnn.errors import UserError
from galaxycnn.serving.checking import check_image
from galaxycnn.serving.flow import draw_flow
from galaxycnn.serving.limits import Limits, Rate, Refused
from galaxycnn.serving.server import Server
from galaxycnn.tree import GALAXY_ZOO_2, DecisionTree

FIELD = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n'
BEGINNINGS = [b"", b"II*\0", b"MM\0+", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"SIMPLE", b"\x1f\x8b"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def client(model: Path) -> Iterator[httpx.Client]:
    with serving(model) as url, httpx.Client(base_url=url, timeout=120) as client:
        yield client


def sent(client: httpx.Client, *files: tuple[str, bytes], **fields: str) -> httpx.Response:
    return client.post("/api/predict", files=[("files", file) for file in files], data=fields)


def fits_file(shape: tuple[int, ...], compressed: bool = False) -> bytes:
    values = np.random.default_rng(0).normal(1, 0.1, shape).astype(np.float32)
    values[..., shape[-2] // 2, shape[-1] // 2] = 9
    content = io.BytesIO()
    fits.PrimaryHDU(values).writeto(content)
    return gzip.compress(content.getvalue()) if compressed else content.getvalue()


# -- what it says --------------------------------------------------------------------------------


def test_it_predicts_what_galaxycnn_predict_does(client, model, tmp_path) -> None:
    contents = {
        f"{kind.lower()}.{kind.lower()}": galaxy_file(n, kind) for n, kind in enumerate(("PNG", "JPEG", "TIFF"))
    }
    contents["three.fits.gz"] = fits_file((3, 40, 40), compressed=True)
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    table = galaxycnn.predict([tmp_path / name for name in contents], model)
    reply = sent(client, *contents.items())
    assert reply.status_code == 200
    galaxies = reply.json()["galaxies"]
    assert [g["id"] for g in galaxies] == table["id"].tolist() == ["png", "jpeg", "tiff", "three"]
    assert [g["words"] for g in galaxies] == table["walk"].tolist()
    assert [" ".join(g["flags"]) for g in galaxies] == table["flags"].tolist()
    for galaxy, (_, row) in zip(galaxies, table.iterrows(), strict=True):
        assert galaxy["fractions"] == pytest.approx({name: row[name] for name in GALAXY_ZOO_2.columns}, abs=2e-6)
        assert [step["answer"] for step in galaxy["walk"]] == galaxy["words"].split(", ")
        assert all(0 <= step["fraction"] <= step["share"] <= 1 for step in galaxy["walk"])


def test_a_broken_file_among_others_has_a_reason(client) -> None:
    truncated = galaxy_file(3, "JPEG")[:700]
    reply = sent(client, ("good.png", galaxy_file()), ("bad.jpg", truncated), ("text.png", b"not a picture"))
    assert reply.status_code == 200
    good, bad, text = reply.json()["galaxies"]
    assert good["reason"] is None
    assert len(good["fractions"]) == 37
    assert bad["reason"]
    assert bad["flags"] == ["unreadable"]
    assert not bad["fractions"]
    assert text["reason"] == "not a JPEG, PNG, TIFF or FITS image"


def test_a_picture_shows_where_the_network_looks(client) -> None:
    (galaxy,) = sent(client, ("g.png", galaxy_file(size=64)), picture="50").json()["galaxies"]
    assert galaxy["picture"]["address"].startswith("data:image/jpeg;base64,")
    assert [galaxy["picture"][side] for side in ("left", "top", "width", "height")] == [0.25, 0.25, 0.5, 0.5]
    assert sent(client, ("g.png", galaxy_file())).json()["galaxies"][0]["picture"] is None


@pytest.mark.parametrize("question", ["bar", "Class3"])
def test_an_explanation_is_a_picture_of_an_answer(client, question) -> None:
    file = {"file": ("g.png", galaxy_file())}
    reply = client.post("/api/explain", files=file, data={"question": question, "method": "gradcam++"})
    assert reply.status_code == 200
    assert reply.headers["content-type"] == "image/png"
    image = Image.open(io.BytesIO(reply.content))
    assert max(image.size) == 480
    answer, value = unquote(reply.headers["x-answer"]).rsplit(" ", 1)
    assert answer in ("bar", "no bar")
    assert 0 <= float(value) <= 1


def test_the_card_names_the_tree_and_the_file(client, model) -> None:
    card = client.get("/api/model").json()
    assert card["name"] == "small"
    columns = [answer["column"] for question in card["questions"] for answer in question["answers"]]
    assert columns == list(GALAXY_ZOO_2.columns)
    (member,) = card["members"]
    assert member["sha256"] == hashlib.sha256(model.read_bytes()).hexdigest()
    assert member["input"] == {"crop": 32, "height": 24, "width": 24, "channels": 3}
    assert "gradcam" in card["methods"]
    assert client.get("/api/health").json() == {"status": "ok"}


def test_the_description_needs_no_other_server(client) -> None:
    described = client.get("/api/openapi.json").json()
    assert {"/api/predict", "/api/explain", "/api/model", "/api/health"} <= set(described["paths"])
    for address in ("/", "/api", "/page.css", "/page.js", "/galaxy.js", "/table.js", "/endpoint.js"):
        text = client.get(address).text
        assert "http://" not in text
        assert "https://" not in text


def test_every_reply_forbids_what_is_not_its_own(client) -> None:
    for reply in (client.get("/"), client.get("/api/model"), client.get("/nothing"), sent(client, ("a", b"b"))):
        policy = reply.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "http" not in policy
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["referrer-policy"] == "no-referrer"
    assert sent(client, ("g.png", galaxy_file())).headers["cache-control"] == "no-store"


# -- what it refuses -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "status", "words"),
    [
        ("a.gif", b"GIF89a" + bytes(100), 415, "not a JPEG, PNG, TIFF or FITS image"),
        ("a.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n", 415, "not a JPEG"),
        ("a.gz", gzip.compress(b"text", mtime=0), 415, "not a JPEG"),
        ("empty.png", b"", 415, "not a JPEG"),
        ("a.png", galaxy_file()[:40], 422, "beginning is damaged"),
        ("a.jpg", galaxy_file(kind="JPEG")[:600], 422, ""),
        ("a.fits", fits_file((20, 20))[:3000], 422, ""),
        ("a.fits.gz", fits_file((20, 20), compressed=True)[:200], 422, "compression"),
        ("a.tif", b"II*\0" + bytes(20), 422, "damaged"),
        ("bomb.png", plain_png(3000, 3000), 413, "million pixels"),
        ("bomb.fits.gz", gzip.compress(b"SIMPLE" + bytes(30_000_000), mtime=0), 413, "million pixels"),
        ("large.png", os.urandom(1_100_000), 413, "at most 1 MB"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_in_a_sentence(strict, name, content, status, words) -> None:
    reply = sent(strict, (name, content))
    assert reply.status_code == status
    detail = reply.json()["detail"]
    assert words in detail
    assert name in detail
    assert "\n" not in detail
    explained = strict.post("/api/explain", files={"file": (name, content)}, data={"question": "bar"})
    assert explained.status_code == status


@pytest.fixture(scope="module")
def strict(model: Path) -> Iterator[httpx.Client]:
    """A server with narrow limits."""
    limits = {"megabytes": 1, "megapixels": 2, "files": 3, "request_megabytes": 2, "seconds": 2, "waiting": 2}
    with serving(model, **limits) as url, httpx.Client(base_url=url, timeout=120) as client:
        yield client


def test_too_many_files_and_too_large_requests_are_refused(strict) -> None:
    file = galaxy_file()
    assert sent(strict, *[(f"{n}.png", file) for n in range(3)]).status_code == 200
    reply = sent(strict, *[(f"{n}.png", file) for n in range(4)])
    assert (reply.status_code, reply.json()["detail"]) == (
        413,
        "a request has at most 3 files: send the others in another one",
    )
    reply = sent(strict, *[(f"{n}.png", bytes(900_000)) for n in range(3)])
    assert reply.status_code == 413
    assert "2 MB" in reply.json()["detail"]


def test_a_large_request_that_hides_its_length_is_refused(strict) -> None:
    def body() -> Iterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
        for _ in range(40):
            yield bytes(100_000)

    kind = {"content-type": "multipart/form-data; boundary=x"}
    try:
        status = strict.post("/api/predict", content=body(), headers=kind).status_code
    except httpx.WriteError:  # the server has hung up in the middle of it
        status = 413
    assert status == 413


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{}", "application/json", 415),
        (b"", "multipart/form-data", 415),
        (b"--x\r\n", "multipart/form-data; boundary=x", 422),
        (b"nonsense", "multipart/form-data; boundary=x", 422),
        (FIELD + b"1\r\n--x--\r\n", "multipart/form-data; boundary=x", 422),
        (FIELD + bytes(2000) + b"\r\n--x--\r\n", "multipart/form-data; boundary=x", 413),
    ],
)
def test_what_is_no_form_of_files_is_refused(client, content, kind, status) -> None:
    reply = client.post("/api/predict", content=content, headers={"content-type": kind})
    assert reply.status_code == status
    assert reply.json()["detail"]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"question": "baar"}, "did you mean 'bar'"),
        ({"method": "grandcam"}, "did you mean 'gradcam'"),
        ({"method": "attention_rollout"}, "no transformer"),
    ],
)
def test_what_cannot_be_explained_is_said(client, fields, words) -> None:
    reply = client.post("/api/explain", files={"file": ("g.png", galaxy_file())}, data=fields)
    assert reply.status_code == 422
    assert words in reply.json()["detail"]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("1,2", "37 answers"),
        ("x", "numbers"),
        (",".join(["7"] * 37), "from 0 to 1"),
        (",".join(["nan"] * 37), "0 to 1"),
    ],
)
def test_fractions_that_cannot_be_drawn_are_refused(client, query, words) -> None:
    reply = client.get("/api/flow.svg", params={"fractions": query})
    assert reply.status_code == 422
    assert words in reply.json()["detail"]
    assert client.get("/api/flow.svg").status_code == 422


def test_a_client_that_sends_too_much_is_told_when_to_go_on(model) -> None:
    with serving(model, per_minute=5) as url, httpx.Client(base_url=url, timeout=60) as client:
        file = ("g.png", galaxy_file())
        assert sent(client, *[file] * 4).status_code == 200
        reply = sent(client, *[file] * 4)
        assert reply.status_code == 429
        assert 30 <= int(reply.headers["retry-after"]) <= 36
        assert "5 images a minute" in reply.json()["detail"]
        assert client.get("/api/health").status_code == 200


def slow_request(client: httpx.Client) -> socket.socket:
    """A connection whose request has begun and does not go on."""
    host, port = client.base_url.host, client.base_url.port
    head = (
        f"POST /api/predict HTTP/1.1\r\nHost: {host}\r\nContent-Length: 100\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\n\r\n--x"
    )
    connection = socket.create_connection((host, port))
    connection.sendall(head.encode())
    return connection


def test_a_slow_request_is_given_up_and_the_places_are_few(strict) -> None:
    assert sent(strict, ("g.png", galaxy_file())).status_code == 200
    for _ in range(5):  # on a busy machine they are given up before another request has come
        slow = [slow_request(strict) for _ in range(2)]
        time.sleep(0.2)
        reply = sent(strict, ("g.png", galaxy_file()))
        for connection in slow:
            connection.settimeout(20)
            assert connection.recv(100).startswith(b"HTTP/1.1 408")
            connection.close()
        if reply.status_code == 503:
            break
    assert reply.status_code == 503
    assert reply.headers["retry-after"] == "3"
    assert sent(strict, ("g.png", galaxy_file())).status_code == 200


def test_many_clients_at_a_time_get_what_each_alone_would(client) -> None:
    files = [(f"{n}.png", galaxy_file(n)) for n in range(6)]
    alone = [sent(client, file).json()["galaxies"][0]["fractions"] for file in files]
    explained = [client.post("/api/explain", files={"file": file}).content for file in files[:2]]
    with ThreadPoolExecutor(8) as pool:
        together = [pool.submit(sent, client, file) for file in files]
        again = [pool.submit(client.post, "/api/explain", files={"file": file}) for file in files[:2]]
        for expected, future in zip(alone, together, strict=True):
            assert future.result().json()["galaxies"][0]["fractions"] == pytest.approx(expected, abs=1e-5)
        assert [future.result().content for future in again] == explained


def test_nothing_that_is_sent_stays_on_disk(client, tmp_path, monkeypatch) -> None:
    """Other processes use the machine's temporary folder too, so this one gets its own for the while."""
    folders = tempfile.gettempdir(), str(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def state() -> set[str]:
        opened = {os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")}
        return {str(path) for path in tmp_path.iterdir()} | {name for name in opened if name.startswith(folders)}

    large = np.random.default_rng(0).integers(0, 255, (1500, 1500, 3), dtype=np.uint8)
    content = io.BytesIO()
    Image.fromarray(large).save(content, "PNG")
    assert len(content.getvalue()) > 6_000_000
    before = state()
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(sent, client, ("large.png", content.getvalue()), picture="100")
        while not future.done():
            assert state() <= before
        assert future.result().status_code == 200
    client.post("/api/explain", files={"file": ("large.png", content.getvalue())})
    assert state() <= before


# -- files before they are decoded ---------------------------------------------------------------


@given(st.binary(max_size=300), st.sampled_from(BEGINNINGS))
def test_whatever_bytes_are_checked_the_answer_is_a_sentence(content, beginning) -> None:
    with pytest.raises(Refused) as refused:
        check_image(beginning + content, Limits())
    assert refused.value.status in (413, 415, 422)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_pixels_are_counted_before_they_are_decoded(kind) -> None:
    content = io.BytesIO()
    Image.new("RGB", (300, 200)).save(content, kind)
    assert check_image(content.getvalue(), Limits(megapixels=0.06)) == content.getvalue()
    with pytest.raises(Refused, match="million pixels"):
        check_image(content.getvalue(), Limits(megapixels=0.059))


def test_a_tiff_that_pillow_does_not_know_and_compressed_fits_are_counted_too(tmp_path) -> None:
    cv2.imwrite(str(tmp_path / "flux.tif"), np.zeros((30, 20, 3), np.float32))
    fits.CompImageHDU(np.zeros((30, 20), np.float32)).writeto(tmp_path / "flux.fits.fz")
    for name, pixels in (("flux.tif", 600), ("flux.fits.fz", 600)):
        content = (tmp_path / name).read_bytes()
        assert check_image(content, Limits(megapixels=pixels / 1e6)) == content
        with pytest.raises(Refused, match="million pixels"):
            check_image(content, Limits(megapixels=(pixels - 1) / 1e6))


@given(st.lists(st.tuples(st.floats(0, 30), st.integers(1, 20)), max_size=30))
def test_no_client_gets_more_than_its_rate(requests) -> None:
    now, rate = [0.0], Rate(20, lambda: now[0])
    served = 0
    for pause, images in requests:
        now[0] += pause
        try:
            rate.take("one", images)
            served += images
        except Refused as refused:
            now[0] += refused.retry_after or 0
            rate.take("one", images)  # what it was told to wait is enough
            served += images
        assert served <= 20 + now[0] * 20 / 60 + 1e-6
    rate.take("another", 20)


# -- the drawing ---------------------------------------------------------------------------------

SVG = "{http://www.w3.org/2000/svg}"


def bars(drawing: str) -> dict[str, dict[str, float]]:
    """The bar of each answer, by its column."""
    root = ElementTree.fromstring(drawing)
    found = {}
    for group in root.iter(f"{SVG}g"):
        if "data-column" in group.attrib:
            (rect,) = group.iter(f"{SVG}rect")
            found[group.get("data-column", "")] = {k: float(rect.get(k, "")) for k in ("x", "y", "width", "height")}
    return found


@pytest.mark.parametrize(("upright", "side"), [(False, "height"), (True, "width")])
@given(seed=st.integers(0, 1000))
def test_widths_are_fractions(upright, side, seed) -> None:
    (fractions,) = votes(1, seed)
    drawn = bars(draw_flow(GALAXY_ZOO_2, fractions, upright=upright))
    assert set(drawn) == set(GALAXY_ZOO_2.columns)
    scale = sum(drawn[column][side] for column in GALAXY_ZOO_2.question("shape").columns)
    for column, fraction in zip(GALAXY_ZOO_2.columns, fractions, strict=True):
        assert drawn[column][side] / scale == pytest.approx(fraction, abs=2e-3)


@given(seed=st.integers(0, 1000))
def test_upright_answers_lie_below_those_that_lead_to_them(seed) -> None:
    (fractions,) = votes(1, seed)
    drawn = bars(draw_flow(GALAXY_ZOO_2, fractions, upright=True))
    for question in GALAXY_ZOO_2.questions:
        for parent in question.parents:
            assert all(drawn[column]["y"] > drawn[parent]["y"] for column in question.columns)
        if question.parents:
            first, last = drawn[question.columns[0]], drawn[question.columns[-1]]
            left = min(drawn[parent]["x"] for parent in question.parents)
            right = max(drawn[parent]["x"] + drawn[parent]["width"] for parent in question.parents)
            assert first["x"] == pytest.approx(left, abs=0.1)
            assert last["x"] + last["width"] == pytest.approx(right, abs=0.1)


@pytest.mark.parametrize("upright", [False, True])
@pytest.mark.parametrize("tree", [CLASSES, GALAXY_ZOO_2.subset(["shape", "roundness"]), GALAXY_ZOO_2.subset(["bar"])])
def test_trees_of_all_kinds_are_drawn(tree: DecisionTree, upright) -> None:
    drawing = draw_flow(tree, np.linspace(0.1, 0.5, len(tree.columns)), upright=upright)
    root = ElementTree.fromstring(drawing)
    texts = ["".join(text.itertext()) for text in root.iter(f"{SVG}text")]
    assert len(texts) == len(tree.columns) + len(tree.questions)
    width, height = map(float, root.get("viewBox", "").split()[2:])
    for rect in bars(drawing).values():
        assert rect["x"] + rect["width"] <= width + 0.1
        assert rect["y"] + rect["height"] <= height + 0.1


def test_fractions_whose_sums_do_not_hold_are_drawn() -> None:
    for fractions in (np.ones(37), np.zeros(37), np.linspace(0, 1, 37)):
        for upright in (False, True):
            ElementTree.fromstring(draw_flow(GALAXY_ZOO_2, fractions, upright=upright))


# -- other models, and the command ---------------------------------------------------------------


def test_classes_are_served_with_their_own_words(tmp_path) -> None:
    model = small_model(tmp_path, CLASSES)
    with serving(model) as url, httpx.Client(base_url=url, timeout=60) as client:
        galaxy = sent(client, ("g.png", galaxy_file())).json()["galaxies"][0]
        assert set(galaxy["fractions"]) == {"label.elliptical", "label.spiral & <bar>"}
        assert galaxy["words"] in ("elliptical", "spiral & <bar>")
        numbers = ",".join(map(str, galaxy["fractions"].values()))
        ElementTree.fromstring(client.get("/api/flow.svg", params={"fractions": numbers}).text)
        assert client.post("/api/explain", files={"file": ("g.png", galaxy_file())}).status_code == 200


def test_an_address_that_is_taken_is_one_sentence(model) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"cannot listen at 127.0.0.1, port {port}"):
            Server.of(model, Limits(), port=port)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--files", "0"], "most files of a request must be above 0"),
        (["--model", "nowhere.keras"], "there is no such model file"),
    ],
)
def test_the_command_says_what_is_wrong(words, said, capsys) -> None:
    assert main(["serve", *words]) == 2
    assert said in capsys.readouterr().err


def test_without_the_extra_it_is_named(monkeypatch, capsys) -> None:
    for name in [name for name in sys.modules if name.startswith("galaxycnn.serving")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "fastapi", None)
    assert main(["serve", "--model", "any.keras"]) == 2
    assert "galaxycnn[app]" in capsys.readouterr().err


def test_examples_are_simulated_galaxies(client) -> None:
    words = client.get("/examples").json()
    assert len(words) >= 4
    for place in range(len(words)):
        image = Image.open(io.BytesIO(client.get(f"/examples/{place}.png").content))
        assert image.size == (424, 424)
    assert client.get("/examples/99.png").status_code == 404
    assert json.loads(client.get("/examples/99.png").text)["detail"]
