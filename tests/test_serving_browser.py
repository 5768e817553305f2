"""The page in a real browser: with the mouse, with the keyboard, on a phone, and without a network beyond it."""

from __future__ import annotations

import csv
import io
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from served import CLASSES, galaxy_file, serving, small_model

import galaxycnn
from galaxycnn.tree import GALAXY_ZOO_2

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed (extra test)")
Page = Any

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (Debian: apt-get install chromium)")

DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def url(model: Path) -> Iterator[str]:
    with serving(model, megabytes=1, request_megabytes=3) as url:
        yield url


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Any, url: str) -> Iterator[Any]:
    """Opens the page; in the end, no request went elsewhere and nothing went wrong in it."""
    contexts: list[Any] = []
    allowed, elsewhere, problems = [url], [], []  # type: list[str], list[str], list[str]

    def route(route: Any) -> None:
        if route.request.url.startswith((*allowed, "blob:", "data:")):
            route.continue_()
        else:
            elsewhere.append(route.request.url)
            route.abort()

    def opened(viewport: dict[str, int] = DESK, address: str = url, **settings: Any) -> Page:
        context = browser.new_context(viewport=viewport, reduced_motion="reduce", **settings)
        context.set_default_timeout(30_000)
        contexts.append(context)
        allowed.append(address)
        page = context.new_page()
        page.route("**/*", route)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
        page.goto(address)
        page.wait_for_selector("#examples img")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not elsewhere
    assert [problem for problem in problems if "status of 4" not in problem] == []


def files(*named: tuple[str, bytes]) -> list[dict[str, Any]]:
    return [{"name": name, "mimeType": "image/png", "buffer": content} for name, content in named]


def shown(page: Page) -> None:
    page.wait_for_selector("#galaxy:not([hidden]) #flow svg")


def test_an_upload_is_shown_with_its_answers_and_its_votes(open_page, model, tmp_path) -> None:
    page = open_page()
    page.set_input_files("#files", files(("spiral.png", galaxy_file())))
    shown(page)
    (tmp_path / "spiral.png").write_bytes(galaxy_file())
    (row,) = galaxycnn.predict(tmp_path / "spiral.png", model).to_dict("records")
    assert page.locator("#walk b").all_inner_texts() == row["walk"].split(", ")
    assert page.locator("#flow [data-column]").count() == 37
    assert page.locator("#flow [data-question]").count() == 11
    assert page.locator("#image").evaluate("image => image.naturalWidth") == 48
    assert row["walk"] in page.locator("#status").inner_text()

    column = max(GALAXY_ZOO_2.question("shape").columns, key=lambda name: row[name])
    page.locator(f'#flow [data-column="{column}"] text').hover()
    told = page.locator("#detail").inner_text()
    assert "Smooth, features or disk, or star?" in told
    assert f"{GALAXY_ZOO_2.answer_name(column)} {100 * row[column]:.0f} % of all votes" in told


def test_a_question_is_explained_on_the_picture(open_page) -> None:
    page = open_page()
    page.locator("#examples button").first.click()
    shown(page)
    assert page.locator("#map").is_hidden()
    page.locator('#flow [data-question="Class3"] .heading').click()
    page.wait_for_selector("#map:not([hidden])")
    assert page.locator("#map").evaluate("image => image.decode().then(() => image.naturalWidth)") == 480
    assert "bar" in page.locator("#caption").inner_text()
    assert page.locator("#question").input_value() == "Class3"
    assert page.locator('#flow [data-question="Class3"]').get_attribute("aria-pressed") == "true"
    over, frame = page.locator("#map").bounding_box(), page.locator("#frame").bounding_box()
    assert over == pytest.approx(frame, abs=2)

    page.select_option("#method", "occlusion")
    playwright.expect(page.locator("#caption")).to_contain_text("Orange")
    page.locator("#strength").fill("30")
    assert page.locator("#map").evaluate("image => image.style.opacity") == "0.3"
    page.select_option("#question", "")
    assert page.locator("#map").is_hidden()


def test_many_files_become_a_table_to_download(open_page, model, tmp_path) -> None:
    page = open_page()
    contents = [(f"galaxy, {n}.png", galaxy_file(n)) for n in range(10)]
    broken, large = ("broken.png", galaxy_file()[:50]), ("large.png", os.urandom(1_100_000))
    page.set_input_files("#files", files(*contents, broken, large))
    page.wait_for_selector("#stop", state="hidden")
    playwright.expect(page.locator("#rows tr")).to_have_count(12)
    assert "12 of 12" in page.locator("#many-title").inner_text()
    assert "2 of them unreadable" in page.locator("#status").inner_text()
    assert page.locator("#rows img").count() == 10
    rows = page.locator("#rows tr")
    assert "unreadable: " in rows.nth(10).inner_text()
    assert "at most 1 MB" in rows.nth(11).inner_text()

    with page.expect_download() as download:
        page.click("#download")
    assert download.value.suggested_filename == "small.csv"
    table = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text())))
    for name, content in contents:
        (tmp_path / name).write_bytes(content)
    predicted = galaxycnn.predict([tmp_path / name for name, _ in contents], model)
    assert list(table[0]) == list(predicted.columns)
    for row, (_, expected) in zip(table, predicted.iterrows(), strict=False):
        assert (row["id"], row["walk"], row["flags"]) == (expected["id"], expected["walk"], expected["flags"])
        assert float(row["Class1.1"]) == pytest.approx(expected["Class1.1"], abs=2e-6)
    assert table[10]["reason"]
    assert not table[10]["Class1.1"]

    page.locator("#rows button").nth(2).click()
    shown(page)
    assert page.locator("#name").inner_text() == "galaxy, 2.png"


def test_a_file_that_cannot_be_used_is_one_sentence(open_page) -> None:
    page = open_page()
    page.set_input_files("#files", files(("notes.png", b"not an image")))
    page.wait_for_selector("#status.problem")
    assert page.locator("#status").inner_text() == "notes.png: not a JPEG, PNG, TIFF or FITS image."
    assert page.locator("#galaxy").is_hidden()
    page.set_input_files("#files", files(("good.png", galaxy_file())))
    shown(page)
    assert "problem" not in (page.locator("#status").get_attribute("class") or "")


def test_everything_is_done_with_the_keyboard(open_page) -> None:
    page = open_page()
    reached = []
    for _ in range(8):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.textContent"))
        focused = page.evaluate(
            "(e => { const box = e.matches('#files') ? e.parentElement : e; const s = getComputedStyle(box);"
            " return s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2; })(document.activeElement)"
        )
        assert focused, f"{reached[-1]} does not show that it has the focus"
    assert reached[:3] == ["night", "files", "two-armed spiral"]
    assert len(set(reached)) == 8
    page.keyboard.press("Enter")
    shown(page)
    page.locator("#strength").focus()  # disabled: the focus stays where it was
    for _ in range(20):
        page.keyboard.press("Tab")
        question = page.evaluate("document.activeElement.dataset?.question ?? ''")
        if question == "Class2":
            break
    assert question == "Class2"
    assert "edge-on" in page.locator("#detail").inner_text()
    page.keyboard.press("Enter")
    page.wait_for_selector("#map:not([hidden])")
    assert page.evaluate("document.activeElement.dataset.question") == "Class2"
    label = page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert label.startswith("Could this be a disk viewed edge-on? edge-on ")
    page.keyboard.press("Space")
    page.wait_for_selector("#map", state="hidden")


def test_every_control_has_a_name_and_every_picture_a_text(open_page) -> None:
    page = open_page()
    page.locator("#examples button").first.click()
    shown(page)
    unnamed = page.evaluate(
        "[...document.querySelectorAll('button, select, input')].filter(e =>"
        " !e.textContent.trim() && !e.labels?.length && !e.getAttribute('aria-label')).map(e => e.outerHTML)"
    )
    assert unnamed == []
    assert page.locator("img:not([alt])").count() == 0
    assert page.locator("html").get_attribute("lang") == "en"
    assert page.locator("h1").count() == 1


def test_it_fits_a_phone(open_page) -> None:
    page = open_page(PHONE, has_touch=True, is_mobile=True)
    page.locator("#examples button").nth(1).tap()
    shown(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    width, height = map(float, page.locator("#flow svg").get_attribute("viewBox").split()[2:])
    assert height > width
    sizes = page.locator("#flow text").evaluate_all("all => all.map(text => text.getBoundingClientRect().height)")
    assert min(sizes) >= 10
    small = page.evaluate(
        "[...document.querySelectorAll('button, select')].filter(e => e.offsetParent &&"
        " e.getBoundingClientRect().height < 40).map(e => e.outerHTML)"
    )
    assert small == []
    page.locator('#flow [data-question="Class6"] .heading').tap()
    page.wait_for_selector("#map:not([hidden])")
    page.set_viewport_size({"width": 1000, "height": 700})
    playwright.expect(page.locator("#flow svg.upright")).to_have_count(0)
    width, height = map(float, page.locator("#flow svg").get_attribute("viewBox").split()[2:])
    assert width > height


def test_it_is_dark_and_red_where_asked_for(open_page) -> None:
    page = open_page()
    ground = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert max(map(int, re.findall(r"\d+", ground))) < 32
    page.click("#night")
    page.reload()
    page.wait_for_selector("#examples img")
    assert page.locator("#night").get_attribute("aria-pressed") == "true"
    assert "grayscale" in page.evaluate("getComputedStyle(document.body).filter")


def test_classes_are_shown_as_bars(open_page, tmp_path) -> None:
    with serving(small_model(tmp_path, CLASSES)) as address:
        page = open_page(address=address)
        page.set_input_files("#files", files(("spiral.png", galaxy_file())))
        shown(page)
        assert page.locator("#flow svg.bars [data-column]").count() == 2
        assert page.locator("#walk b").inner_text() in ("elliptical", "spiral & <bar>")
        page.select_option("#question", "label")
        page.wait_for_selector("#map:not([hidden])")


def test_the_page_for_programs_opens(open_page) -> None:
    page = open_page()
    page.click("footer a")
    page.wait_for_selector("article h1")
    assert "POST /api/predict" in page.locator("article").inner_text()
