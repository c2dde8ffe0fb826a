"""Thirty-two unlike tools, with a question for each: how many on offer make the choice hard?"""

from __future__ import annotations

import random
from typing import Any

from harness.run.tasks.made_values import (
    CITY,
    CODE,
    CURRENCIES,
    DATE,
    DAY,
    LANGUAGES,
    PERSON,
    ROOM,
    TIME,
    WORD,
    Slot,
    among,
    amount,
    one_of,
    whole,
)

MOST = 32
_CURRENCY, _LANGUAGE = among(CURRENCIES), one_of(LANGUAGES)

_TOOLS: tuple[tuple[str, str, dict[str, Slot], str], ...] = (
    ("get_weather", "Tells the weather of a city on a day of the week.",
     {"city": CITY, "day": DAY}, "What will the weather be in {city} on {day}?"),
    ("convert_currency", "Converts an amount of money into another currency.",
     {"amount": amount(5, 900), "source": _CURRENCY, "target": _CURRENCY},
     "How much is {amount} {source} in {target}?"),
    ("book_train", "Books a train ticket.",
     {"origin": CITY, "destination": CITY, "date": DATE},
     "Book me a train from {origin} to {destination} on {date}."),
    ("set_alarm", "Sets an alarm.", {"time": TIME}, "Wake me up at {time}."),
    ("send_message", "Sends a text message to a person.",
     {"person": PERSON, "text": WORD}, "Send {person} a message that just says: {text}"),
    ("translate_word", "Translates an English word.",
     {"word": WORD, "language": _LANGUAGE}, "What is the {language} word for '{word}'?"),
    ("add_to_shopping_list", "Puts a thing on the shopping list.",
     {"item": WORD, "quantity": whole(1, 40)}, "Put {quantity} {item} on my shopping list."),
    ("track_parcel", "Tells where a parcel is.", {"code": CODE}, "Where is my parcel {code}?"),
    ("turn_on_light", "Turns on the light of a room.", {"room": ROOM},
     "Turn on the light in the {room}, please."),
    ("set_temperature", "Sets the heating of a room, in degrees Celsius.",
     {"room": ROOM, "degrees": whole(12, 27)}, "Heat the {room} to {degrees} degrees."),
    ("create_event", "Puts an appointment with a person into the calendar.",
     {"person": PERSON, "date": DATE, "time": TIME},
     "I am meeting {person} on {date} at {time}; put it into my calendar."),
    ("find_restaurants", "Lists restaurants that serve a dish.",
     {"city": CITY, "dish": WORD}, "Which restaurants in {city} serve {dish}?"),
    ("get_population", "Tells how many people live in a city.", {"city": CITY},
     "How many people live in {city}?"),
    ("start_timer", "Starts a timer of some minutes.", {"minutes": whole(2, 90)},
     "Start a timer of {minutes} minutes."),
    ("play_music", "Plays music of an artist.", {"artist": PERSON}, "Play something by {artist}."),
    ("get_exchange_rate", "Tells the rate between two currencies.",
     {"source": _CURRENCY, "target": _CURRENCY},
     "What is the exchange rate from {source} to {target}?"),
    ("cancel_order", "Cancels an order.", {"order": CODE}, "Please cancel my order {order}."),
    ("compute_area", "Computes the area of a rectangle in square metres.",
     {"width": amount(1, 60), "height": amount(1, 60)},
     "What is the area of a rectangle {width} m wide and {height} m high?"),
    ("lock_door", "Locks the door of a room.", {"room": ROOM}, "Lock the door of the {room}."),
    ("call_person", "Starts a telephone call.", {"person": PERSON}, "Call {person}, please."),
    ("reserve_table", "Reserves a table in a restaurant.",
     {"people": whole(1, 12), "time": TIME}, "Reserve a table for {people} people at {time}."),
    ("get_flight_status", "Tells whether a flight is on time.",
     {"flight": CODE, "date": DATE}, "Is flight {flight} on {date} on time?"),
    ("count_stock", "Tells how many of a thing are in a warehouse.",
     {"item": WORD, "city": CITY}, "How many {item} are there in the warehouse of {city}?"),
    ("pay_invoice", "Pays an invoice.",
     {"invoice": CODE, "amount": amount(5, 900)}, "Pay invoice {invoice} over {amount}."),
    ("vacuum_room", "Sends the vacuum cleaner into a room.", {"room": ROOM}, "Vacuum the {room}."),
    ("rent_bicycle", "Rents bicycles for some hours.",
     {"city": CITY, "hours": whole(1, 12)}, "Rent a bicycle in {city} for {hours} hours."),
    ("add_contact", "Saves the telephone number of a person.",
     {"person": PERSON, "number": whole(100000, 999999)},
     "Save {person}'s telephone number: {number}."),
    ("get_opening_hours", "Tells when a library is open.",
     {"city": CITY, "day": DAY}, "When is the library of {city} open on {day}?"),
    ("order_taxi", "Orders a taxi to a place.",
     {"city": CITY, "time": TIME}, "Order a taxi to {city} for {time}."),
    ("water_plants", "Waters the plants of a room.",
     {"room": ROOM, "litres": whole(1, 9)}, "Give the plants in the {room} {litres} litres."),
    ("mark_birthday", "Remembers a person's birthday.",
     {"person": PERSON, "date": DATE}, "{person}'s birthday is {date}; remember it."),
    ("extend_loan", "Extends the loan of a library book by some days.",
     {"book": CODE, "days": whole(2, 28)}, "Extend my loan of book {book} by {days} days."),
)  # fmt: skip


def made(offered: int, draw: random.Random) -> dict[str, Any]:
    """A question that one of `offered` tools answers: its text, the tools, the expected call."""
    right, *others = draw.sample(_TOOLS, offered)
    name, _, slots, question = right
    values = _values(slots, draw)
    tools = [_tool(*tool[:3]) for tool in (right, *others)]
    draw.shuffle(tools)
    return {
        "question": question.format(**values),
        "functions": tools,
        "expected": [{name: {parameter: {"accepted": [one]} for parameter, one in values.items()}}],
    }


def _values(slots: dict[str, Slot], draw: random.Random) -> dict[str, Any]:
    """One value for each, no two alike: nobody travels from Oslo to Oslo."""
    while True:
        values = {parameter: make(draw) for parameter, (_, make) in slots.items()}
        if len(set(values.values())) == len(values):
            return values


def _tool(name: str, description: str, slots: dict[str, Slot]) -> dict[str, Any]:
    properties = {parameter: schema for parameter, (schema, _) in slots.items()}
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    return {"name": name, "description": description, "parameters": parameters}
