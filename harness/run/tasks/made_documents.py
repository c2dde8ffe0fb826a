"""Receipts, invoices, forms, tables and charts that are drawn here, and what can be asked of them.

All that they say is made up, so no model was trained on it. An answer stands on the page in the
letters in which it is accepted, as in DocVQA; a question names what it asks for in the page's own
words, and those stand there once. The letters are Aileron's, which Pillow ships.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Literal

from PIL import Image, ImageDraw, ImageFont

from harness.run.tasks.made_values import CITIES, PEOPLE, WORDS, clock, code

WIDTH, HEIGHT, MARGIN = 384, 512, 24
"""Pixels. Small letters are 16 high: read with ease, and soon not when the picture gets worse."""

AnswerType = Literal["amount", "number", "date", "time", "code", "name"]
Box = tuple[float, float, float, float]

_BLACK, _GREY, _WHITE = 0, 150, 255
_SMALL, _LARGE = 16, 24
_SURNAMES = (
    "Aalto", "Berg", "Costa", "Duval", "Evans", "Fontana", "Garcia", "Hansen", "Ivanov", "Keller",
    "Lindt", "Moreau", "Novak", "Okafor", "Price", "Rossi", "Silva", "Tanaka", "Weber", "Young",
)  # fmt: skip
_TRADES = ("Bakery", "Books", "Hardware", "Market", "Pharmacy", "Supplies")
_STREETS = ("Mill Street", "High Street", "Harbour Road", "Station Road", "Park Lane", "Bridge Way")
_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July", "August", "September"),
    *("October", "November", "December"),
)
_PAID = ("cash", "credit card", "debit card", "voucher")
_SERVICES = (
    *("Cleaning", "Painting", "Repair", "Delivery", "Printing", "Translation", "Transport"),
    *("Consulting", "Gardening", "Catering"),
)
_MEASURED = ("Visitors", "Orders", "Repairs", "Loans", "Calls", "Parcels")


@dataclass(frozen=True)
class Question:
    """`answers` are all accepted, the first as a person would copy it."""

    text: str
    answers: tuple[str, ...]
    type: AnswerType


@dataclass(frozen=True)
class Document:
    """A page. `texts`: everything that is written on it, with the place of each."""

    image: Image.Image
    texts: tuple[tuple[str, Box], ...]
    questions: tuple[Question, ...]


class _Sheet:
    """An empty page that remembers what is written on it."""

    def __init__(self) -> None:
        self.image = Image.new("L", (WIDTH, HEIGHT), _WHITE)
        self.texts: list[tuple[str, Box]] = []
        self._draw = ImageDraw.Draw(self.image)

    def write(self, text: str, x: float, y: float, anchor: str = "la", size: int = _SMALL) -> None:
        """Anchors are Pillow's: left, middle or right of the line; its ascender, middle or base."""
        font = _font(size)
        self._draw.text((x, y), text, _BLACK, font, anchor)
        self.texts.append((text, self._draw.textbbox((x, y), text, font, anchor)))

    def pair(self, left: str, right: str, y: float, size: int = _SMALL) -> None:
        self.write(left, MARGIN, y, "la", size)
        self.write(right, WIDTH - MARGIN, y, "ra", size)

    def title(self, text: str, y: float = MARGIN) -> None:
        self.write(text, WIDTH / 2, y, "ma", _LARGE)

    def rule(self, y: float) -> None:
        self._draw.line((MARGIN, y, WIDTH - MARGIN, y), _BLACK)

    def frame(self, box: Box) -> None:
        self._draw.rectangle(box, outline=_BLACK)

    def bar(self, box: Box) -> None:
        self._draw.rectangle(box, _GREY, _BLACK)

    def asked(self, *questions: Question) -> Document:
        return Document(self.image, tuple(self.texts), questions)


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _receipt(draw: random.Random) -> Document:
    sheet, y = _Sheet(), 140
    shop = f"{draw.choice(_SURNAMES)} {draw.choice(_TRADES)}"
    day, paid = _date(draw), draw.choice(_PAID)
    sheet.title(shop)
    address = f"{draw.randint(1, 99)} {draw.choice(_STREETS)}, {draw.choice(CITIES)}"
    sheet.write(address, WIDTH / 2, 58, "ma")
    sheet.pair(f"Receipt {code(draw)}", clock(draw), 90)
    sheet.pair("Date", day, 112)
    goods = [(name.capitalize(), draw.randint(80, 4999)) for name in draw.sample(WORDS, 6)]
    sheet.rule(y)
    for name, cents in goods:
        y += 26
        sheet.pair(name, _money(cents), y - 16)
    sheet.rule(y + 14)
    total = sum(cents for _, cents in goods)
    sheet.pair("Total", _money(total), y + 24, _LARGE)
    sheet.pair("Paid by", paid, y + 62)
    name, cents = draw.choice(goods)
    return sheet.asked(
        Question("What is the total of this receipt?", _amounts(total), "amount"),
        Question(f"What is the price of '{name}'?", _amounts(cents), "amount"),
        Question("What is the date of this receipt?", (day,), "date"),
        Question("How was this receipt paid?", (paid,), "name"),
    )


def _invoice(draw: random.Random) -> Document:
    sheet, y = _Sheet(), 196
    seller, buyer = (f"{one} {draw.choice(_TRADES)}" for one in draw.sample(_SURNAMES, 2))
    number, due = f"INV-{draw.randint(10000, 99999)}", _date(draw)
    sheet.title("Invoice")
    sheet.pair("From", seller, 66)
    sheet.pair("Billed to", buyer, 90)
    sheet.pair("Invoice number", number, 114)
    sheet.pair("Payment due", due, 138)
    sheet.pair("Service", "Amount", 172)
    services = [(name, draw.randint(2000, 90000)) for name in draw.sample(_SERVICES, 4)]
    for name, cents in services:
        sheet.rule(y)
        sheet.pair(name, _money(cents), y + 8)
        y += 32
    total = sum(cents for _, cents in services)
    sheet.rule(y)
    sheet.pair("Amount due", _money(total), y + 12, _LARGE)
    name, cents = draw.choice(services)
    return sheet.asked(
        Question("What is the invoice number?", (number,), "code"),
        Question("Who is this invoice billed to?", (buyer,), "name"),
        Question("When is the payment due?", (due,), "date"),
        Question(f"What is the amount for '{name}'?", _amounts(cents), "amount"),
    )


def _form(draw: random.Random) -> Document:
    sheet, y = _Sheet(), 76
    sheet.title(f"{draw.choice(CITIES)} Library")
    fields: list[tuple[str, str, AnswerType]] = [
        ("Full name", f"{draw.choice(PEOPLE)} {draw.choice(_SURNAMES)}", "name"),
        ("Date of birth", _date(draw, 1940, 2008), "date"),
        ("Street", f"{draw.choice(_STREETS)} {draw.randint(1, 99)}", "name"),
        ("Telephone", f"{draw.randint(200, 999)}-{draw.randint(1000, 9999)}", "code"),
        ("Card number", code(draw), "code"),
        ("Collected at", clock(draw), "time"),
    ]
    for label, text, _ in fields:
        sheet.write(label, MARGIN, y)
        sheet.frame((MARGIN, y + 20, WIDTH - MARGIN, y + 48))
        sheet.write(text, MARGIN + 8, y + 34, "lm")
        y += 68
    return sheet.asked(
        *(
            Question(f"What is written in the field '{label}'?", (text,), kind)
            for label, text, kind in draw.sample(fields, 4)
        )
    )


def _table(draw: random.Random) -> Document:
    sheet = _Sheet()
    sheet.title(f"{draw.choice(_MEASURED)} by city")
    years = [str(year) for year in sorted(draw.sample(range(2010, 2026), 3))]
    cities = draw.sample(CITIES, 8)
    places = [200, 280, WIDTH - MARGIN]
    values = {city: [str(draw.randint(100, 9999)) for _ in years] for city in cities}
    rows = [("City", years), *values.items()]
    for at, (head, cells) in enumerate(rows):
        y = 84 + 40 * at
        sheet.write(head, MARGIN, y)
        for x, cell in zip(places, cells, strict=True):
            sheet.write(cell, x, y, "ra")
        sheet.rule(y + 28)
    asked = [(city, draw.randrange(len(years))) for city in draw.sample(cities, 4)]
    return sheet.asked(
        *(
            Question(f"What is the value for {city} in {years[at]}?", (values[city][at],), "number")
            for city, at in asked
        )
    )


def _chart(draw: random.Random) -> Document:
    """Bars with their values over them, no two alike."""
    sheet = _Sheet()
    measured = draw.choice(_MEASURED)
    sheet.title(f"{measured} per day")
    names = draw.sample([name[:3] for name in _MONTHS], 5)
    values = dict(zip(names, draw.sample(range(10, 100), 5), strict=True))
    ground, step = HEIGHT - 60, (WIDTH - 2 * MARGIN) / len(names)
    for at, (name, value) in enumerate(values.items()):
        left = MARGIN + at * step + 10
        top = ground - 3.5 * value
        sheet.bar((left, top, left + step - 20, ground))
        sheet.write(str(value), left + step / 2 - 10, top - 8, "mb")
        sheet.write(name, left + step / 2 - 10, ground + 10, "ma")
    sheet.rule(ground)
    one, other = draw.sample(names, 2)
    high, low = max(names, key=values.__getitem__), min(names, key=values.__getitem__)
    return sheet.asked(
        Question(f"What is the value of the bar '{one}'?", (str(values[one]),), "number"),
        Question(f"What is the value of the bar '{other}'?", (str(values[other]),), "number"),
        Question("Which bar is the highest?", (high,), "name"),
        Question("Which bar is the lowest?", (low,), "name"),
    )


DOCUMENTS: dict[str, Callable[[random.Random], Document]] = {
    "receipt": _receipt,
    "invoice": _invoice,
    "form": _form,
    "table": _table,
    "chart": _chart,
}
QUESTIONS = 4
"""Of each document."""


def _date(draw: random.Random, first: int = 2015, last: int = 2025) -> str:
    return f"{draw.randint(1, 28)} {draw.choice(_MONTHS)} {draw.randint(first, last)}"


def _money(cents: int) -> str:
    return f"${cents // 100}.{cents % 100:02}"


def _amounts(cents: int) -> tuple[str, str]:
    """With the sign of the currency and without it."""
    return _money(cents), _money(cents)[1:]
