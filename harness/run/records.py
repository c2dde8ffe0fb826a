"""What a run leaves on disk. Versioned; old versions stay readable (tests/run/stored/)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from harness.ask.models import Sha256
from harness.ask.yaml_file import Row
from harness.plan.cells import Cell
from harness.run.protocol import Settings, Shape

SCHEMA_VERSION = 2

Cause = Literal["crashed", "timeout", "out_of_memory", "bad_artifact", "bad_item", "refused"]
"""Why a sample has no data: the worker died, hung, met its memory cap, could not use the artifact
or this one item, or the runtime did something else than it was asked to."""

Weights = Literal["real", "synthetic"]


class Noise(Row):
    """What else the machine did during one sample. Null is 'this machine does not show it'."""

    steal_share: float | None
    cpu_pressure_share: float | None
    memory_pressure_share: float | None
    throttle_events: int | None
    involuntary_switches: int | None
    mean_mhz: float | None


class Applied(Row):
    """What the runtime says it really did; compared field by field with `Settings`."""

    settings: Settings
    weight_buffers: dict[str, int]
    """Bytes of each weight buffer, for instance CPU_Mapped and CPU_REPACK."""
    kv_bytes: int | None
    runtime_build: str
    emulated: bool = False
    """Whether another processor plays the device: its answers count, its speed and memory do not.

    Records without this field are older than the first device that could be played.
    """


class Repeat(Row):
    """One prompt and its continuation. Seconds."""

    evaluated_tokens: int
    prefill_seconds: float
    first_token_seconds: float
    token_seconds: list[float]
    """Time of each token after the first since the one before."""


class SpeedData(Row):
    """`load_seconds` is as the page cache happened to be; load_time has a workload of its own."""

    kind: Literal["speed"] = "speed"
    applied: Applied
    load_seconds: float
    output: list[int]
    """Greedy answer to the fixed prompt, before anything is timed."""
    warm_up: Repeat
    repeats: list[Repeat]


class LoadData(Row):
    """`cached_before` is the share of the file's pages in the page cache when the load began."""

    kind: Literal["load"] = "load"
    applied: Applied
    output: list[int]
    cached_before: float
    model_seconds: float
    context_seconds: float


class Phase(Row):
    """Memory of the worker in one phase, in bytes. Peaks are within the phase, `end` after it.

    `anonymous_peak` is polled; `resident_peak` is the kernel's own high-water mark (VmHWM), null
    where it can't be reset per phase.
    """

    name: Literal["import", "load", "context", "prefill", "decode"]
    seconds: float
    anonymous_peak: int
    anonymous_end: int
    file_end: int
    resident_peak: int | None
    pss_anonymous: int | None
    pss_file: int | None
    major_faults: int


class Sampler(Row):
    """What watching cost: CPU share of one core, and the longest time between two polls."""

    interval_seconds: float
    polls: int
    cpu_share: float
    longest_gap_seconds: float


class Limit(Row):
    """The cap a sample ran under and what enforced it."""

    bytes: int
    method: Literal["cgroup v2", "cgroup v1", "RLIMIT_DATA"]
    covers: str


class MemoryData(Row):
    kind: Literal["memory"] = "memory"
    applied: Applied
    output: list[int]
    evaluated_tokens: int
    phases: list[Phase]
    sampler: Sampler


class Reply(Row):
    """What a server says of its own answer. Null: it does not say.

    `request_sha256` is that of the whole request as it was sent: model, messages, tools, limit.
    """

    request_sha256: Sha256
    model: str | None
    system_fingerprint: str | None
    finish_reason: str | None


class Turn(Row):
    """One request to a model, and what came of it.

    What of prompt and tokens a server does not show or tell is null; then there is a `reply`. Where
    the likelihood of options was asked for, the prompt is the context and each option but its last
    token: that one is looked up, never fed.
    """

    prompt_sha256: Sha256 | None
    prompt_tokens: int | None
    prompt_start: list[int] = []
    prompt_ids_sha256: Sha256 | None = None
    """Of the token ids as a JSON list. Null: not shown, or from before runtimes were compared."""
    image_tokens: int | None = None
    """How many of the prompt's tokens stand for images. Null: written before there were any."""
    image_seconds: float | None = None
    """From pixels to embeddings. Null: no image."""
    evaluated_tokens: int | None
    reused_tokens: int = 0
    """Of the prompt's tokens, those that the cache held from an item before, or under way."""
    new_tokens: int | None
    stopped: Literal["end", "length", "stop"] | None
    """By the model's own end, by the limit of the task, by a text at which the task stops.
    Null: nothing was generated, or a server does not say which."""
    reply: Reply | None = None
    logprobs: list[list[float]] = []
    """Of each token of each option, where the likelihood of options was asked for."""
    likeliest: list[list[int]] = []
    """At the place of each of these the token that the model holds for likeliest, where a text was
    scored."""
    first_logprobs: list[tuple[int, float]] = []
    """The likeliest first tokens, with their log-probabilities."""


class ItemData(Turn):
    """One answered item of a task. `outcome` is derived from `output` and can be derived again.

    What it has of a turn is that of the first request. `later` are those after it, whose prompts
    may hold what the model said before.
    """

    kind: Literal["item"] = "item"
    applied: Applied | None = None
    template_sha256: Sha256 | None = None
    """Both are given with the first item of each worker."""
    item: str
    item_sha256: Sha256
    group: str | None = None
    """What it shares with other items, a picture for instance: they stand or fall together."""
    facets: dict[str, str] = {}
    """Under what the question was put, by name: a severity, a length. As `Item.facets`."""
    later: list[Turn] = []
    output: str
    outcome: str
    correct: bool
    detail: str
    partial: float | None = Field(default=None, gt=0, lt=1)
    """What an answer is worth to its rule that is neither worth 1 (correct) nor 0. Null: it is."""
    by_other_rules: dict[str, bool | Annotated[float, Field(ge=0, le=1)]] = {}
    """What the same output is worth to the rules of others, by their names; true is 1, false 0."""
    parts: dict[str, dict[str, bool]] = {}
    """Of a question with parts, by rule and part: whether it is right."""

    @property
    def value(self) -> float:
        """What the answer is worth, from 0 to 1."""
        return float(self.correct) if self.partial is None else self.partial


class Fact(Row):
    """One value with the place it was read from."""

    name: str
    value: bool | int | float | str
    origin: Literal[
        "file header",
        "published configuration",
        "published document",
        "page text",
        "tried here",
    ]
    source: str


class FactsData(Row):
    kind: Literal["facts"] = "facts"
    facts: list[Fact]


class Stance(Row):
    reviewer: str
    stance: Literal["ship", "skip"] | None
    words: str | None


class PanelData(Row):
    """Stances by tool, as the page's text states them."""

    kind: Literal["panel"] = "panel"
    stances: dict[str, list[Stance]]


Data = Annotated[
    SpeedData | LoadData | MemoryData | ItemData | FactsData | PanelData,
    Field(discriminator="kind"),
]


class Sample(Row):
    """One process's measurement, or one item. `data` is null exactly where `cause` is not.

    Items have ended in the order in which they stand. Of each `started` and `seconds` are the time
    since the one before ended: where several are under way, no item's own, but together all of it.
    """

    index: int
    item: str | None = None
    tries: int = 1
    """2: the worker that asked it first had ended over it, or over one under way with it."""
    started: str
    seconds: float
    cause: Cause | None = None
    detail: str = ""
    limit: Limit | None = None
    phases_reached: list[Phase] = []
    """How far a memory sample came before it ended with a cause."""
    noise: Noise | None = None
    data: Data | None = None


class Gate(Row):
    """A check that can make a run invalid. `passed` null: this machine can't tell."""

    name: str
    passed: bool | None
    detail: str


class ArtifactRecord(Row):
    format: str
    quantisation: str
    sha256: Sha256
    bytes: int
    weights: Weights
    source: str


class TaskRecord(Row):
    """`version_hash` covers the task's file, `scorer_version` the code that asks and scores.

    `libraries`: the versions of packages, beside the runtime's, that answers or scores come from.
    """

    id: str
    version_hash: Sha256
    scorer_version: int
    libraries: dict[str, str | None] = {}
    rows: int
    template_sha256: Sha256 | None


class RuntimeRecord(Row):
    name: str
    version: str
    device: str


class HarnessRecord(Row):
    """Null commit: not run from a git checkout."""

    version: str
    commit: str | None
    dirty: bool | None


class EndpointRecord(Row):
    """Where a server was asked for a model, and under which name.

    `place`: "loopback", the host where models.yaml names it, or "another host": a name may tell
    whose server it is.
    """

    place: str
    model: str


class Run(Row):
    """The samples of one cell on one machine in one go. Samples lie beside it, one per line."""

    schema_version: Literal[2] = 2
    id: str
    key: Sha256
    machine: str
    session: str
    arm: Literal["measured", "control"]
    """`control` repeats a measured cell: the session's A/A control."""
    cell: Cell
    settings: Settings | None
    shape: Shape | None
    planned: int
    samples: int
    failed: int
    started: str
    ended: str
    harness: HarnessRecord
    runtime: RuntimeRecord | None
    artifact: ArtifactRecord | None
    endpoint: EndpointRecord | None = None
    task: TaskRecord | None
    gates: list[Gate]
    warnings: list[str]
    samples_sha256: Sha256

    @property
    def valid(self) -> bool:
        return all(gate.passed is not False for gate in self.gates)


class Machine(Row):
    """What matters of a machine, and nothing that names its owner. Null: not shown here."""

    schema_version: Literal[1] = 1
    id: str
    processor: str
    cores: int
    threads: int
    features: list[str]
    memory_bytes: int
    system: str
    kernel: str
    virtual: bool | None
    python: str
    device_class: Literal["cpu"]
