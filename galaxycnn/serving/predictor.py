"""The networks behind the page: what they say of uploads, and why; one job at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import galaxycnn
from galaxycnn.errors import UserError
from galaxycnn.explain import explain
from galaxycnn.explain.network import Network
from galaxycnn.predicting.flags import FLAGS
from galaxycnn.predicting.images import Item, without_ending
from galaxycnn.predicting.networks import Loaded, Networks
from galaxycnn.predicting.opening import Opener
from galaxycnn.predicting.preparing import Preparer
from galaxycnn.predicting.rows import Columns
from galaxycnn.predicting.running import Options, Run
from galaxycnn.registry import EXPLANATIONS, first_line
from galaxycnn.serving.checking import ENDINGS, TYPES, check_image
from galaxycnn.serving.flow import draw_flow
from galaxycnn.serving.limits import Limits, Refused
from galaxycnn.serving.pictures import explained, preview
from galaxycnn.serving.replies import (
    Answer,
    AnswerWords,
    Card,
    Galaxy,
    Input,
    Member,
    Picture,
    Quantity,
    QuestionWords,
)
from galaxycnn.serving.uploads import Upload
from galaxycnn.tree import Floats

TOGETHER = 8
"""Images that the networks are given at a time."""
DIGITS = 6
"""Decimals of what is said."""


class Explained(NamedTuple):
    """A picture of what speaks for an answer, as a PNG, and the answer in words."""

    png: bytes
    answer: str


@dataclass(frozen=True)
class Uploads:
    """Uploads as a source of images."""

    files: Sequence[Upload]

    @property
    def columns(self) -> dict[str, Any]:
        """Nothing is known of uploads beside their pixels."""
        return {}

    def __len__(self) -> int:
        return len(self.files)

    def __iter__(self) -> Iterator[Item]:
        return (Item(without_ending(file.name), file.name, file.content) for file in self.files)


@dataclass(frozen=True)
class Predictor:
    """Predicts and explains uploads. It is not to be called from several threads at a time.

    Args:
        networks: what answers.
        name: what the model is called.
        limits: what is refused.
    """

    networks: Networks
    name: str
    limits: Limits

    @classmethod
    def load(cls, model: str | Path | None, limits: Limits, views: int | None = None) -> Predictor:
        """The predictor of a model file or ensemble.

        Raises:
            UserError: there is no such model, or it needs numbers beside pictures.
        """
        networks = Networks.load(model, views)
        if networks.inputs:
            needed = " and ".join(networks.inputs)
            raise UserError(f"the network needs {needed} beside pixels: use galaxycnn predict with a list of them")
        file = Path(model or networks.loaded[0].member.path).name
        return cls(networks, file.removesuffix(".ensemble.yaml").removesuffix(Path(file).suffix), limits)

    def warm_up(self) -> None:
        """Predict black images, so that the first visitors do not wait until the networks are compiled."""
        for count in (1, 2):
            cutouts = {
                name: np.zeros((count, *settings.input_shape), np.uint8)
                for name, settings in self.networks.preparations.items()
            }
            self.networks.predict(cutouts, {}, 0)

    # -- what it says ----------------------------------------------------------------------------

    def predict(self, files: Sequence[Upload], side: int = 0) -> tuple[list[Galaxy], list[Refused]]:
        """What is said of each file, in order, and why some of them were refused.

        Args:
            side: longest side in pixels of the pictures to show; 0 for none.
        """
        refused: dict[int, Refused] = {}
        usable: dict[int, Upload] = {}
        for number, file in enumerate(files):
            try:
                usable[number] = Upload(file.name, check_image(file.content, self.limits))
            except Refused as problem:
                refused[number] = problem
        said = dict(zip(usable, self._rows(list(usable.values())), strict=True))
        galaxies = []
        for number, file in enumerate(files):
            if number in refused:
                galaxies.append(_unread(file.name, str(refused[number])))
                continue
            galaxy = self._galaxy(said[number])
            if galaxy.reason:
                refused[number] = Refused(422, galaxy.reason)
            elif side:
                galaxy.picture = self._picture(usable[number], side)
            galaxies.append(galaxy)
        return galaxies, [refused[number] for number in sorted(refused)]

    def _rows(self, files: Sequence[Upload]) -> Iterator[dict[str, Any]]:
        if files:
            run = Run(Uploads(files), self.networks, self._columns, Options(batch=TOGETHER))
            for rows, _ in run.tables():
                yield from ({str(name): value for name, value in row.items()} for row in rows.to_dict("records"))

    @cached_property
    def _columns(self) -> Columns:
        return Columns.of(self.networks, ())

    def _galaxy(self, row: dict[str, Any]) -> Galaxy:
        if row["reason"]:
            return _unread(row["file"], row["reason"])
        tree, spread = self.networks.tree, self._columns.spread
        quantities = {
            name: Quantity(value=_rounded(row[name]), spread=_rounded(row[f"{name}_spread"]) if has_spread else None)
            for name, has_spread in self.networks.quantities.items()
        }
        return Galaxy(
            id=row["id"],
            file=row["file"],
            words=row.get("walk", ""),
            walk=self._walk(np.array([row[column] for column in tree.columns])),
            fractions={column: _rounded(row[column]) for column in tree.columns},
            spread={column: _rounded(row[f"{column}_spread"]) for column in tree.columns} if spread else None,
            quantities=quantities,
            atypicality=_rounded(row["atypicality"]) if "atypicality" in row else None,
            flags=row["flags"].split(),
            reason=None,
            picture=None,
        )

    def _chosen(self, fractions: Floats) -> Floats:
        """1 for the answers of the most likely walk, 0 for all others."""
        return self.networks.tree.one_hot(self._columns.chosen(fractions[None]))[0]

    def _walk(self, fractions: Floats) -> list[Answer]:
        tree, chosen = self.networks.tree, self._chosen(fractions)
        walk = []
        for question in tree.questions:
            where = tree.slice(question)
            for answer, fraction, on_walk in zip(question.answers, fractions[where], chosen[where], strict=True):
                if on_walk:
                    walk.append(
                        Answer(
                            question=question.name,
                            text=question.text,
                            answer=answer.name,
                            column=answer.column,
                            fraction=_rounded(fraction),
                            share=_rounded(fraction / max(fractions[where].sum(), 1e-9)),
                        )
                    )
        return walk

    def _picture(self, file: Upload, side: int) -> Picture:
        address, frame = preview(Opener()(file.content).image, self._explaining.member.config.data_preprocessing, side)
        return Picture(address=address, **frame._asdict())

    def flow(self, fractions: Sequence[float], upright: bool) -> str:
        """Vote fractions as a drawing (:func:`galaxycnn.serving.flow.draw_flow`).

        Raises:
            Refused: they are not as many as the tree has answers, or not between 0 and 1.
        """
        tree = self.networks.tree
        values = np.array(fractions)
        if len(values) != len(tree.columns):
            raise Refused(422, f"the tree has {len(tree.columns)} answers, not {len(values)}")
        if not ((values >= 0) & (values <= 1)).all():
            raise Refused(422, "fractions are numbers from 0 to 1")
        return draw_flow(tree, values, self._chosen(values), upright)

    # -- why it says so --------------------------------------------------------------------------

    @property
    def names(self) -> tuple[str, ...]:
        """What can be explained: questions, then quantities."""
        return Network(self._explaining.network, self.networks.tree).names

    @property
    def _explaining(self) -> Loaded:
        """The network that is explained and whose view is shown: the heaviest one."""
        return max(self.networks.loaded, key=lambda loaded: loaded.member.weight)

    def explain(self, file: Upload, question: str, method: str) -> Explained:
        """What in a file speaks for the most likely answer to a question, or for the size of a quantity.

        Raises:
            Refused: the file cannot be used.
            UserError: there is no such question or method, or the method does not apply to this network.
        """
        loaded = self._explaining
        settings = loaded.member.config.data_preprocessing
        content = check_image(file.content, self.limits)
        (batch,) = Preparer({"": settings}, Opener()).batches(Uploads([Upload(file.name, content)]), 1)
        if batch.reasons[0]:
            raise Refused(422, batch.reasons[0])
        found = explain(loaded.network, self.networks.tree, batch.cutouts[""], [question], method)
        (name,) = found.names
        png = explained(Opener()(content).image, settings, found.maps[0, 0])
        answer, value = found.answer(0, name), float(found.values[0, 0])
        return Explained(png, f"{answer} {value:.2f}" if answer else f"{value:.3g}")

    # -- what it is ------------------------------------------------------------------------------

    @cached_property
    def card(self) -> Card:
        """What the model answers, and what may be asked of it."""
        tree = self.networks.tree
        return Card(
            name=self.name,
            version=galaxycnn.__version__,
            members=[_member(loaded) for loaded in sorted(self.networks.loaded, key=lambda each: -each.member.weight)],
            tree=tree.name,
            questions=[
                QuestionWords(
                    name=question.name,
                    key=question.key,
                    text=question.text,
                    answers=[AnswerWords(column=answer.column, words=answer.name) for answer in question.answers],
                    parents=list(question.parents),
                )
                for question in tree.questions
            ],
            quantities=list(self.networks.quantities),
            views=self.networks.views,
            flags=FLAGS,
            methods={name: first_line(method) for name, method in EXPLANATIONS.items()},
            limits=asdict(self.limits),
            types=TYPES,
            endings=ENDINGS,
        )


def _unread(file: str, reason: str) -> Galaxy:
    return Galaxy(
        id=without_ending(file),
        file=file,
        words="",
        walk=[],
        fractions={},
        spread=None,
        quantities={},
        atypicality=None,
        flags=["unreadable"],
        reason=reason,
        picture=None,
    )


def _rounded(number: float) -> float:
    return round(float(number), DIGITS)


def _member(loaded: Loaded) -> Member:
    settings = loaded.member.config.data_preprocessing
    height, width, channels = settings.input_shape
    with loaded.member.path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(2**20):
            digest.update(block)
    return Member(
        file=loaded.member.path.name,
        sha256=digest.hexdigest(),
        weight=loaded.member.weight,
        input=Input(crop=settings.crop_size if settings.crop else None, height=height, width=width, channels=channels),
    )
