"""Claims: what a page says of a model, word for word, and the rule that makes it true."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from harness import home
from harness.ask import yaml_file
from harness.ask.yaml_file import Row
from harness.errors import BadFile, UnknownName
from harness.metric import TWO_RUNS
from harness.metrics import METRICS
from harness.statistics import TAIL_MINIMUM

Kind = Literal[
    "memory",
    "latency",
    "accuracy",
    "tool calling",
    "context length",
    "identity",
    "licence",
    "exports",
    "availability",
    "API compatibility",
    "price",
    "panel score",
    "comparison",
    "prediction",
    "opinion",
]
Suite = Literal["smoke", "laptop", "full"]
SUITES: tuple[Suite, ...] = ("smoke", "laptop", "full")


def parse_bytes(text: object) -> object:
    """`4GiB`, `512 MiB` or a number of bytes. Anything else goes on unchanged to be refused."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMG])iB", str(text))
    if not match:
        return text
    return int(float(match[1]) * 1024 ** ("KMG".index(match[2]) + 1))


Bytes = Annotated[int, BeforeValidator(parse_bytes), Field(gt=0)]


class Conditions(Row):
    """Under what the metric is measured. Each combination is one cell."""

    runtime: str = "llama.cpp"
    device: str = "cpu"
    quantisation: str | None = None
    task: str | None = None
    contexts: list[int] = Field(default=[2048], min_length=1)
    prompt_tokens: int | None = Field(default=None, gt=1)
    """For timed metrics; where it is not given the plan chooses by the machine's speed."""
    new_tokens: int | None = Field(default=None, gt=1)
    """The same; a tail needs many, and p99 can't do without."""
    memory_limit: Bytes | None = None
    page_cache: Literal["cold", "warm"] | None = None
    against: tuple[str, str] | None = None
    """The other model and its quantisation, for a metric on a pair."""
    services: list[str] = Field(default=[], max_length=2)
    """Rows of prices.yaml: the one meant, and the one it is compared with."""
    call: str | None = None
    """A row of calls.yaml."""
    facets: dict[str, str] = {}
    """Of the items that are asked, only those count which were asked under these."""
    least_accuracy: float | None = Field(default=None, gt=0, lt=1)
    """For effective_context: the share of right items that a length must have."""


class Rule(Row):
    """What makes a claim true, fixed before anything is measured.

    `same` holds where the whole interval lies within `margin` of the threshold: a share of it, or
    where the threshold is 0 the margin itself.
    """

    metric: str
    op: Literal[">=", "<=", "==", "same"]
    threshold: bool | int | float | str
    margin: float | None = Field(default=None, gt=0, lt=1)
    why: str
    n: int = Field(ge=1)
    conditions: Conditions = Conditions()

    @field_validator("metric")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in METRICS:
            # ValueError is how pydantic learns of a bad field; it becomes a BadFile.
            raise ValueError(str(UnknownName("metric", name, METRICS)))
        return name

    @model_validator(mode="after")
    def _says_what_is_enough(self) -> Self:
        reach = METRICS[self.metric].statistic == "reach"
        if reach != (self.conditions.least_accuracy is not None):
            raise ValueError("conditions.least_accuracy is for effective_context, which needs it")
        if reach and self.op == "same":
            raise ValueError(f"{self.metric} goes in steps and is never the same: use '>=' or '<='")
        return self

    @model_validator(mode="after")
    def _complete(self) -> Self:
        metric, on = METRICS[self.metric], self.conditions
        exact = metric.statistic in ("exact", "bounds", "price_ratio")
        if metric.statistic != "exact" and isinstance(self.threshold, bool | str):
            raise ValueError(f"{metric.name} is a number, and so is its threshold")
        if self.op == "==" and not exact:
            raise ValueError(f"{metric.name} is measured and never equal to a number: use 'same'")
        if len(on.contexts) > 1 and metric.statistic not in ("slope", "bracket"):
            raise ValueError(f"{metric.name} is measured at one context")
        if (self.op == "same") != (self.margin is not None):
            raise ValueError("'same' needs a margin, and nothing else takes one")
        if (metric.comes_from is None) != (on.task is not None):
            raise ValueError(f"{metric.name}: conditions.task is for metrics of a task, and theirs")
        if metric.comes_from in ("speed", "load", "memory", None) and on.quantisation is None:
            raise ValueError(f"{metric.name} needs conditions.quantisation")
        wanted = 0 if metric.comes_from != "prices" else 2 if metric.name == "price_ratio" else 1
        if len(on.services) != wanted:
            raise ValueError(f"{metric.name} takes {wanted} of conditions.services")
        if (metric.comes_from == "calls") != (on.call is not None):
            raise ValueError("conditions.call is for metrics of a call, and theirs")
        if (metric.statistic in ("paired", *TWO_RUNS)) != (on.against is not None):
            raise ValueError("conditions.against is for metrics on a pair, and theirs")
        if metric.statistic == "lead" and self.op == "same" and self.threshold:
            raise ValueError(f"{metric.name} is a difference: it is the same as 0, or bounded")
        if metric.statistic == "bracket" and on.memory_limit is None:
            raise ValueError(f"{metric.name} needs conditions.memory_limit")
        if metric.statistic == "slope" and len(on.contexts) < 2:
            raise ValueError(f"{metric.name} needs two contexts or more")
        timed = metric.comes_from == "speed"
        if not timed and (on.prompt_tokens or on.new_tokens) is not None:
            raise ValueError("conditions.prompt_tokens and new_tokens are for timed metrics")
        fewest = TAIL_MINIMUM[0.99]
        if metric.name == "inter_token_p99" and (on.new_tokens or 0) <= fewest:
            raise ValueError(f"{metric.name} needs conditions.new_tokens above {fewest}")
        if (metric.name == "load_time") != (on.page_cache is not None):
            raise ValueError("conditions.page_cache is for load_time, and load_time needs it")
        return self


class Claim(Row):
    """One falsifiable statement about one model.

    Either `rule` says what settles it, or `untestable` says why nothing here can.
    """

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    page: str = ""
    tool: str
    who: str
    quote: str
    kind: Kind
    reading: str
    model: str | None = None
    suite: Suite = "smoke"
    rule: Rule | None = None
    untestable: str | None = None
    due: str | None = Field(default=None, pattern=r"^\d{4}-\d\d-\d\d$")
    """The day on which a prediction can be settled, by the words of the page."""

    @model_validator(mode="after")
    def _either(self) -> Self:
        if (self.rule is None) == (self.untestable is None):
            raise ValueError("give either a rule or the reason why it is untestable")
        unbound = ("panel", "prices", "calls")
        if self.rule and self.model is None and METRICS[self.rule.metric].comes_from not in unbound:
            raise ValueError("a rule on a model needs 'model'")
        return self


class _File(Row):
    page: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    claims: list[Claim]


def load(folder: Path | None = None) -> dict[str, Claim]:
    """All claims by id, page by page. Raises BadFile."""
    claims: dict[str, Claim] = {}
    for path in sorted((folder or home.root() / "claims").glob("*.yaml")):
        file = yaml_file.read(path, _File)
        for claim in file.claims:
            if claim.id in claims:
                raise BadFile(f"{path}: id: '{claim.id}' is taken by another claim")
            claims[claim.id] = claim.model_copy(update={"page": file.page})
    return claims


def choose(claims: dict[str, Claim], names: list[str], suite: Suite) -> list[Claim]:
    """The claims on the pages or with the ids in `names`, else all; up to `suite` in length.

    A claim named by its id is taken whatever its suite. Raises UnknownName.
    """
    allowed = SUITES[: SUITES.index(suite) + 1]
    known = {claim.page for claim in claims.values()} | set(claims)
    for name in names:
        if name not in known:
            raise UnknownName("page or claim", name, known)
    return [
        claim
        for claim in claims.values()
        if claim.id in names or (claim.suite in allowed and (not names or claim.page in names))
    ]
