"""IFEval's kinds of instruction: what each checker finds, rows of every shape, hostile answers.

The rows are made here in the shape of the data set's, which is on a hub.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import llamas
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.ask import tasks
from harness.ask.tasks import HubRows, Task
from harness.errors import BadFile
from harness.run.runtimes import settings_for
from harness.run.tasks import Item, ifeval
from harness.run.tasks.ifeval.length import sentences
from harness.run.workloads.respondent import Listener

AT_LEAST, LESS = "at least", "less than"
ENGLISH = "the weather was fine and we all went for a long walk along the river"

# Kind, arguments, an answer that follows, one that does not.
EXAMPLES: list[tuple[str, dict[str, Any], str, str]] = [
    ("keywords:existence", {"keywords": ["Cat", "c++"]}, "cats like C++", "cats like c"),
    (
        "keywords:frequency",
        {"keyword": "rain", "frequency": 2, "relation": AT_LEAST},
        "Rain, a raincoat",
        "rain",
    ),
    (
        "keywords:frequency",
        {"keyword": "rain", "frequency": 2, "relation": LESS},
        "rain",
        "Rain, a raincoat",
    ),
    ("keywords:forbidden_words", {"forbidden_words": ["cat"]}, "cats", "a Cat!"),
    (
        "keywords:letter_frequency",
        {"letter": "#", "let_frequency": 2, "let_relation": AT_LEAST},
        "# one\n# two",
        "# one",
    ),
    ("language:response_language", {"language": "de"}, "Das Wetter war schön heute", ENGLISH),
    ("length_constraints:number_words", {"num_words": 3, "relation": LESS}, "don't", "I don't"),
    (
        "length_constraints:number_sentences",
        {"num_sentences": 2, "relation": AT_LEAST},
        "Dr. No came. He left",
        "Dr. No came.",
    ),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 2}, "a\n***\nb\n***", "a\n\nb"),
    (
        "length_constraints:nth_paragraph_first_word",
        {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "Then"},
        'Now.\n\n"then, later',
        "Then.\n\nNow",
    ),
    ("detectable_content:number_placeholders", {"num_placeholders": 2}, "[a] [b]", "[a\n] [b]"),
    ("detectable_content:postscript", {"postscript_marker": "P.S."}, "x\np. s. y", "x PS y"),
    ("detectable_content:postscript", {"postscript_marker": "P.P.S"}, "P.P.S y", "P.S. y"),
    ("detectable_format:number_bullet_lists", {"num_bullets": 2}, "* a\n- b", "* a\n** b\n+ c"),
    ("detectable_format:constrained_response", {}, "Well. My answer is no.", "No."),
    (
        "detectable_format:number_highlighted_sections",
        {"num_highlights": 2},
        "*a* and *b*",
        "*a* and * *",
    ),
    (
        "detectable_format:multiple_sections",
        {"section_spliter": "Section", "num_sections": 2},
        "Section 1\na\nSection 2\nb",
        "Section 1 section 2",
    ),
    ("detectable_format:json_format", {}, '```json\n{"a": 1}\n```', "{'a': 1}"),
    ("detectable_format:title", {}, "<<A poem>>", "<<>> <<\n>>"),
    ("combination:two_responses", {}, "a\n******\nb", "a ****** a"),
    ("combination:repeat_prompt", {"prompt_to_repeat": "Say A"}, " say a: A", "A"),
    ("startend:end_checker", {"end_phrase": "The end."}, '"a, the END."', "The end. a"),
    ("startend:quotation", {}, '"a"', '"'),
    ("change_case:capital_word_frequency", {"capital_frequency": 2, "capital_relation": AT_LEAST},
     "A WELL-MADE thing", "Well-MADE IT"),
    ("change_case:english_capital", {}, ENGLISH.upper(), ENGLISH),
    ("change_case:english_lowercase", {}, ENGLISH, "das wetter war heute sehr schön und warm"),
    ("punctuation:no_comma", {}, "a; b", "a, b"),
]  # fmt: skip


def asked(kind: str, arguments: dict[str, Any]) -> dict[str, Any]:
    return {"kind": kind, "name": kind, "arguments": arguments}


def item(*instructions: dict[str, Any]) -> Item:
    return Item("1000", [], {"instructions": list(instructions)})


@pytest.mark.parametrize(("kind", "arguments", "good", "bad"), EXAMPLES)
def test_a_checker_tells_good_from_bad(
    kind: str, arguments: dict[str, Any], good: str, bad: str
) -> None:
    one = item(asked(kind, arguments))
    assert ifeval.score(one, good).outcome == "followed"
    assert ifeval.score(one, bad).outcome == "nothing_followed"
    assert kind in ifeval.score(one, bad).detail
    assert not ifeval.score(one, " \n").correct  # whatever an empty answer lacks


RECORDED = json.loads(Path(__file__).with_name("recorded_ifeval.json").read_text("utf-8"))


@pytest.mark.parametrize("kind", ifeval.CHECKERS)
def test_a_checker_finds_what_the_original_found(kind: str) -> None:
    """As scripts/compare-ifeval kept it."""
    assert len(RECORDED[kind]) >= 12
    for arguments, answer, strict, loose in RECORDED[kind]:
        parts = ifeval.score(item(asked(kind, arguments)), answer).parts
        assert (parts["strict"][kind], parts["loose"][kind]) == (strict, loose), answer


def test_every_kind_has_an_example() -> None:
    assert {row[0] for row in EXAMPLES} == set(ifeval.CHECKERS)
    assert len(ifeval.CHECKERS) == 25


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("One", 1),
        ("One. Two! Three?! Four...", 4),
        ("Mr. Smith met Dr. J. Doe at 5 p.m. today.", 1),
        ("1. First.\n2. Second.", 2),
        ("It costs 3.50 at shop.com. Really.", 2),
        ('"Go." He said "no."', 2),
        ("You and I. Then we", 2),
        ("well... maybe not. Ok.", 2),
    ],
)
def test_sentences_are_counted(text: str, count: int) -> None:
    assert sentences(text) == count


def test_the_loose_rule_forgives_a_first_line_and_asterisks() -> None:
    one = item(asked("combination:repeat_prompt", {"prompt_to_repeat": "Say A"}))
    for text in ("Sure:\nSay A\nA", "**Say A** A", "Sure:\n*Say A*"):
        found = ifeval.score(one, text)
        assert (found.correct, found.by_other_rules) == (False, {"loose": 1.0})
    assert ifeval.score(one, "Say A\nA").by_other_rules == {"loose": 1.0}
    assert len(ifeval.loosened("a\nb")) == 8


def test_each_instruction_is_told_apart() -> None:
    comma, quoted = asked("punctuation:no_comma", {}), asked("startend:quotation", {})
    found = ifeval.score(item(comma, quoted), 'Sure\n"a"')
    assert found.outcome == "some_followed"
    assert found.parts == {
        "strict": {"punctuation:no_comma": True, "startend:quotation": False},
        "loose": {"punctuation:no_comma": True, "startend:quotation": True},
    }


TEXTS = st.text(max_size=60) | st.lists(
    st.sampled_from(
        ["*", "**", "***", "******", "\n", "\n\n", " ", "<<", ">>", "[", "]", "-", ".", "!", '"',
         "P.S.", "Section 1", "```", "{", "}", "A", "é", "ß", "\x00", "\ud83d", "9" * 40, "e.g."]
    ),
    max_size=30,
).map("".join)  # fmt: skip


@settings(max_examples=100)
@given(text=TEXTS)
def test_no_answer_breaks_a_checker(text: str) -> None:
    for kind, arguments, _, _ in EXAMPLES:
        score = ifeval.score(item(asked(kind, arguments)), text)
        assert score.outcome in ifeval.OUTCOMES
        strict, loose = (score.parts[rule][kind] for rule in ("strict", "loose"))
        assert loose or not strict


@settings(max_examples=100)
@given(word=st.text(min_size=1, max_size=8), text=TEXTS)
def test_a_keyword_is_a_text_and_no_pattern(word: str, text: str) -> None:
    one = item(asked("keywords:existence", {"keywords": [word]}))
    if word.strip() and word.isascii():
        assert ifeval.score(one, f"{text}{word}").correct


@pytest.mark.parametrize(
    "text", ["[" * 50_000, "<" * 50_000, "* " * 20_000, "\n" * 20_000, "!" * 50_000]
)
def test_long_nonsense_is_scored_in_time(text: str) -> None:
    began = time.process_time()
    for kind, arguments, _, _ in EXAMPLES:
        ifeval.score(item(asked(kind, arguments)), text)
    assert time.process_time() - began < 10


# Rows


def row(key: int, *instructions: tuple[str, dict[str, Any]], **changes: Any) -> dict[str, Any]:
    kinds, arguments = zip(*instructions, strict=True)
    return {
        "key": key,
        "prompt": f"Write about {key}.",
        "instruction_id_list": list(kinds),
        "kwargs": list(arguments),
    } | changes


COMMA = ("punctuation:no_comma", {})
WORDS = ("length_constraints:number_words", {"num_words": 20, "relation": LESS})
ROWS = [
    row(1000, COMMA, WORDS),
    row(1001, ("keywords:existence", {"keywords": ["tea"], "num_words": None})),
    row(1002, ("detectable_format:number_bullet_lists", {"num_bullets": 2.0})),
]


def task(path: Path, written: list[dict[str, Any]]) -> Task:
    path.write_text("".join(json.dumps(one) + "\n" for one in written), encoding="utf-8")
    source = HubRows.model_validate(
        {
            "kind": "hub",
            "repo": "google/IFEval",
            "revision": "a" * 40,
            "files": [{"name": path.name, "sha256": None, "bytes": None}],
            "members": {"prompts": path.name},
        }
    )
    known = tasks.load()["ifeval"]
    count = tasks.Rows(available=len(written), planned=len(written), seed=1)
    return known.model_copy(update={"source": source, "rows": count})


def test_rows_become_items(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    found = {one.id: one for one in ifeval.items(task(path, ROWS), path, None)}
    assert found.keys() == {"1000", "1001", "1002"}
    assert found["1000"].messages == [{"role": "user", "content": "Write about 1000."}]
    assert found["1001"].payload["instructions"][0]["arguments"] == {"keywords": ["tea"]}
    (bullets,) = found["1002"].payload["instructions"]
    assert repr(bullets["arguments"]) == "{'num_bullets': 2}"


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (row(7, ("keywords:rhyme", {})), "row 7: nothing is known of the instruction"),
        (row(7, ("punctuation:no_comma", {"x": 1})), "row 7: punctuation:no_comma takes"),
        (row(7, ("length_constraints:number_words", {"num_words": 3})), "takes .*relation"),
        (row(7, (WORDS[0], {"num_words": "3", "relation": LESS})), "row 7, num_words: '3'"),
        (row(7, (WORDS[0], {"num_words": True, "relation": LESS})), "num_words: True"),
        (row(7, (WORDS[0], {"num_words": 3, "relation": "over"})), "'over' is neither"),
        (row(7, ("keywords:existence", {"keywords": []})), r"keywords: \[\]"),
        (row(7, COMMA, kwargs=[]), "1 instructions, 0 times"),
        (row(7, COMMA, prompt=None), "row 7: not a prompt"),
        ({"key": 7, "prompt": "x"}, "row 7: no column instruction_id_list"),
        (row(1000, COMMA), "two rows have the key 1000"),
    ],
)
def test_a_row_of_another_shape_is_named(tmp_path: Path, bad: dict[str, Any], message: str) -> None:
    path = tmp_path / "rows.jsonl"
    with pytest.raises(BadFile, match=message):
        ifeval.items(task(path, [*ROWS, bad]), path, None)


def test_a_real_model_is_asked(smollm2: Path, tmp_path: Path) -> None:
    runtime = llamas.ready(smollm2, settings_for("llama.cpp", "cpu", 1, 512))
    path = tmp_path / "rows.jsonl"
    known = task(path, ROWS).model_copy(update={"max_new_tokens": 16})
    for one in ifeval.items(known, path, None):
        listener = Listener(runtime, runtime.chat_template(), one.id)
        output = ifeval.ask(known, one, listener)
        score = ifeval.score(one, output)
        assert output and score.outcome in ifeval.OUTCOMES
        assert score.parts["strict"].keys() == {
            instruction["kind"] for instruction in one.payload["instructions"]
        }
