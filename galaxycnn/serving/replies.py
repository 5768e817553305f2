"""What the endpoint says, as it stands in its OpenAPI description."""

from __future__ import annotations

from pydantic import BaseModel, Field


class Answer(BaseModel):
    """The most likely answer to a question that the galaxy comes to."""

    question: str = Field(examples=["Class1"])
    text: str = Field(examples=["Smooth, features or disk, or star?"])
    answer: str = Field(examples=["features or disk"])
    column: str = Field(examples=["Class1.2"])
    fraction: float = Field(description="of all votes, 0…1")
    share: float = Field(description="of the votes of those who were asked, 0…1")


class Quantity(BaseModel):
    """A number that is predicted beside the answers, such as a redshift."""

    value: float
    spread: float | None = Field(description="its standard deviation; null where the model states none")


class Picture(BaseModel):
    """A picture to show, and where in it the network looks, in shares of its width and height."""

    address: str = Field(description="a data: address")
    left: float
    top: float
    width: float
    height: float


class Galaxy(BaseModel):
    """One file. Where it cannot be used, ``reason`` says why, and it has no predictions."""

    id: str = Field(description="the file's name without its ending")
    file: str
    words: str = Field(description="the most likely walk down the tree", examples=["smooth, round, not odd"])
    walk: list[Answer]
    fractions: dict[str, float] = Field(description="vote fractions by column, 0…1", examples=[{"Class1.1": 0.713}])
    spread: dict[str, float] | None = Field(
        description="standard deviations over views and networks; null where each image is predicted once"
    )
    quantities: dict[str, Quantity]
    atypicality: float | None = Field(
        description="share of held-out galaxies that are more like those of the training; null where it is not known"
    )
    flags: list[str] = Field(description="what may be wrong with the image; /api/model says what each means")
    reason: str | None
    picture: Picture | None = Field(description="null unless asked for with the field picture")


class Predictions(BaseModel):
    """All files of a request, in its order."""

    model: str
    galaxies: list[Galaxy]


class Problem(BaseModel):
    """Why a request was not served, in a sentence."""

    detail: str
    galaxies: list[Galaxy] = Field(default=[], description="where files were read, why each cannot be used")


class AnswerWords(BaseModel):
    """An answer of a question, and its column."""

    column: str
    words: str


class QuestionWords(BaseModel):
    """A question of the decision tree; ``parents`` are the columns of the answers that lead to it."""

    name: str
    key: str
    text: str
    answers: list[AnswerWords]
    parents: list[str]


class Input(BaseModel):
    """What a network looks at: the middle ``crop`` pixels of a picture, or all of it, resized."""

    crop: int | None
    height: int
    width: int
    channels: int


class Member(BaseModel):
    """A network: its file, that file's SHA-256, its share of the answer, and what it looks at."""

    file: str
    sha256: str
    weight: float
    input: Input


class Card(BaseModel):
    """What the model answers, and what may be asked of it."""

    name: str
    version: str = Field(description="of galaxycnn")
    members: list[Member] = Field(description="one, or those of an ensemble; the heaviest one is explained")
    tree: str
    questions: list[QuestionWords]
    quantities: list[str]
    views: int = Field(description="views of each image that are averaged")
    flags: dict[str, str] = Field(description="what each flag means")
    methods: dict[str, str] = Field(description="methods of explanation")
    limits: dict[str, float]
    types: str
    endings: str


class Health(BaseModel):
    """The server is there."""

    status: str = "ok"
