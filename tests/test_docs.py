"""What the documentation says of keys and files is so."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "docs" / "configuration.md"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def reference() -> dict[str, str]:
    """The line of every key that the reference explains, by its dotted name; losses by ``losses.<name>``."""
    lines, section = {}, ""
    for line in REFERENCE.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            section = {"Top level": "", "Losses": "losses."}.get(line[3:], f"{line[3:]}.")
        elif line.startswith("| `"):
            for key in re.findall(r"`([^`]+)`", line.split(" | ")[0]):
                lines[f"{section}{key}"] = line
    return lines


def keys_in(values: dict[str, Any], path: str = "") -> Iterator[str]:
    for key, value in values.items():
        yield f"{path}{key}"
        if isinstance(value, dict) and key not in ("loss_params", "loss_weights", "classes"):
            yield from keys_in(value, f"{path}{key}.")


def test_reference_is_what_the_schema_says() -> None:
    spec = importlib.util.spec_from_file_location("make_configuration", ROOT / "docs" / "make_configuration.py")
    assert spec is not None and spec.loader is not None
    maker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)
    committed = REFERENCE.read_text(encoding="utf-8")
    assert maker.page() == committed, "out of date: run python docs/make_configuration.py"


def test_reference_explains_every_key_in_words() -> None:
    lines = reference()
    assert len(lines) > 60
    assert [
        key for key, line in lines.items() if re.search(r"\|\s*\|$", line) and key != "Augmentation presets.none"
    ] == []


@pytest.mark.parametrize("file", sorted((ROOT / "configs").glob("**/*.yaml")), ids=lambda file: file.stem)
def test_reference_has_every_key_of_the_recipes(file: Path) -> None:
    content, lines = yaml.safe_load(file.read_text(encoding="utf-8")), reference()
    assert [key for key in keys_in(content) if key not in lines] == []
    training = content.get("train_params", {})
    for parameter in training.get("loss_params") or {}:
        assert f"`{parameter}: " in lines[f"losses.{training['loss_function']}"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s#]+)[^)]*\)", page.read_text(encoding="utf-8"))
    relative = [link for link in links if not re.match(r"[a-z]+:", link)]
    assert [link for link in relative if not (page.parent / link).exists()] == []
