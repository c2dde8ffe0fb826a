"""What one kind of task wants of its file and others don't: one class per kind."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, model_validator

from harness.ask.lengths import LongContext
from harness.ask.yaml_file import Row


class ToolCalls(Row):
    """`parser` is the name of what reads calls out of an answer.

    `expects` says what is right: the calls that the rows' answers give, no call, or some call.
    `language` is that of the functions; it says how their arguments are written.
    """

    kind: Literal["tool_calls"]
    parser: str
    expects: Literal["answers", "no_call", "some_call"] = "answers"
    language: Literal["python", "java", "javascript"] = "python"


class Columns(Row):
    """Of a table of questions about pictures, by their names.

    `answers` holds one accepted text or a list of them. Where there are `choices`, a list, it is
    the right one's index from 0. Rows without an `id` are numbered. What the columns of `facets`
    say is told of each item.
    """

    question: str = "question"
    image: str = "image"
    answers: str = "answer"
    choices: str | None = None
    id: str | None = None
    facets: list[str] = []


class OtherScorers(Row):
    """Rows that another rule scores, by what they say in a column."""

    column: str
    scorers: dict[str, str]


def _is_null(value: object) -> bool:
    return value is None


class VisualQuestions(Row):
    """The table's columns and the rule of harness/run/tasks/scorers that scores an answer.

    Null: the data are easy-VQA's, where an answer is compared as it stands.
    """

    kind: Literal["visual_questions"]
    # Left out of a hash where they are null: easy-VQA's is older than they are.
    columns: Columns | None = Field(default=None, exclude_if=_is_null)
    scorer: str | None = Field(default=None, exclude_if=_is_null)
    other_scorers: OtherScorers | None = Field(default=None, exclude_if=_is_null)

    @model_validator(mode="after")
    def _a_table_has_a_scorer(self) -> VisualQuestions:
        if (self.columns is None) != (self.scorer is None):
            raise ValueError("columns and scorer go together")
        return self


class DegradedQuestions(Row):
    """`without`: answers whose questions are left out, for one that is guessed too often."""

    kind: Literal["degraded_questions"]
    without: list[str] = []


class Documents(Row):
    """Nothing: the pages and the questions are the kind's own."""

    kind: Literal["documents"]


class MultipleChoice(Row):
    """Columns of the data, and how a question is put.

    `choices` may lead to a list inside a column ("choices.text"). The answer is an index from 0, a
    letter, a digit from 1, or one of `labels`, another column. `shots` rows of the part `examples`
    go before each question, the first of the same `subject` where there is such a column.
    `scored`: by the likelihood of the options' letters or of their texts, or by the letter that
    the model writes. `normalised` divides a likelihood by the characters of the text.
    """

    kind: Literal["multiple_choice"]
    question: str = "question"
    choices: str = "choices"
    labels: str | None = None
    answer: str = "answer"
    subject: str | None = None
    shots: NonNegativeInt = 0
    preamble: str = ""
    scored: Literal["letters", "texts", "written"]
    normalised: bool = False


class TextWindows(Row):
    """The length of a window in tokens, of which the second half is scored."""

    kind: Literal["text_windows"]
    window: int = Field(ge=4, multiple_of=2)


class WordProblems(Row):
    """Columns of the data, and which number of an answer counts.

    `shots` rows of the part `examples` go before each question as a conversation. `extraction`:
    the number after "####" (strict) or the last one (flexible).
    """

    kind: Literal["word_problems"]
    question: str = "question"
    answer: str = "answer"
    shots: NonNegativeInt = 0
    extraction: Literal["strict", "flexible"]


class Code(Row):
    """Nothing: rows are HumanEval's."""

    kind: Literal["code"]


class MadeCalls(Row):
    """Which questions are made, how the tools are shown, and what reads calls out of an answer."""

    kind: Literal["made_calls"]
    made: Literal["shapes", "offers"]
    tools: Literal["prompt", "template"]
    parser: str


class ToolChains(Row):
    """How the tools are shown, and what reads calls out of an answer."""

    kind: Literal["tool_chains"]
    tools: Literal["prompt", "template"]
    parser: str


class MultiTurn(Row):
    """How the tools are shown, and what reads calls out of an answer."""

    kind: Literal["multi_turn"]
    tools: Literal["prompt", "template"]
    parser: str


class IfEval(Row):
    """Nothing: rows are IFEval's."""

    kind: Literal["ifeval"]


class JsonAnswers(Row):
    """`grammar` holds each token of the answer to the schema; else only the prompt asks for it."""

    kind: Literal["json_answers"]
    grammar: bool = False


Options = Annotated[
    ToolCalls
    | VisualQuestions
    | DegradedQuestions
    | Documents
    | MultipleChoice
    | TextWindows
    | WordProblems
    | Code
    | MadeCalls
    | ToolChains
    | MultiTurn
    | IfEval
    | JsonAnswers
    | LongContext,
    Field(discriminator="kind"),
]
"""What one kind wants and others don't, one class per kind. A file does not repeat the kind."""
