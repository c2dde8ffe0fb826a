"""Speed by runtime: the rates of one model, on one machine, at one shape, from the stored runs.

A row is a runtime with a quantisation on a device. Of a row's runs the newest stands here, if it
is valid, ran without a cap on memory, and has two processes to make an interval of. A device that
another processor plays has no speed, and no row.

Not guaranteed: that rows took turns. Where they come of several sessions, a note says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from harness import statistics
from harness.judge.reproductions import SESSIONS
from harness.metrics import METRICS
from harness.publish import charts, words
from harness.publish.charts import Bar, Chart
from harness.publish.figures import Table
from harness.run import store
from harness.run.records import Machine, Run
from harness.run.values import emulated, value
from harness.statistics import Estimate

RATES = ("prefill_rate", "decode_rate")


@dataclass(frozen=True)
class Row:
    """One run. `name`: of its folder below results/; `rates`: by metric, those that it has."""

    name: str
    run: Run
    rates: dict[str, Estimate]

    @property
    def short(self) -> str:
        cell = self.run.cell
        device = "" if cell.device == "cpu" else cell.device
        return " ".join(filter(None, (cell.runtime, cell.quantisation, device)))

    @property
    def synthetic(self) -> bool:
        return bool(self.run.artifact and self.run.artifact.weights == "synthetic")

    @property
    def label(self) -> str:
        """All that tells it from another row."""
        cell, runtime = self.run.cell, self.run.runtime
        version = runtime.version if runtime else ""
        parts = [f"{cell.runtime} {version}", cell.quantisation or "", cell.device or ""]
        parts += ["synthetic weights"] * self.synthetic
        return ", ".join(filter(None, parts))


@dataclass(frozen=True)
class Rates:
    """The rows that may stand beside each other, by runtime.

    `runs`: each run of this model, machine and shape by its folder's name below results/, whether
    or not it has a row.
    """

    model: str
    machine: str
    shape: str
    rows: tuple[Row, ...]
    runs: tuple[str, ...]

    @property
    def measured(self) -> str:
        """The day, or the first and the last."""
        days = sorted({row.run.ended[:10] for row in self.rows})
        return " to ".join(words.day(day) for day in dict.fromkeys((days[0], days[-1])))

    @property
    def note(self) -> str | None:
        """What the intervals do not hold, where the rows were not timed together."""
        sessions = len({row.run.session for row in self.rows})
        if sessions == 1:
            return None
        return (
            f"Timed in {sessions} sessions, which differ by about {SESSIONS:.0%} where nothing "
            "else does. No interval here holds that: a small difference between two rows means "
            "nothing."
        )

    @property
    def warnings(self) -> list[str]:
        """The reasons to doubt a row."""
        return [f"{row.short}: {one}" for row in self.rows for one in row.run.warnings]

    @property
    def evidence(self) -> list[str]:
        """The records of the rows, by their names below results/ and in the site."""
        files = ("run.json", "samples.jsonl")
        return [f"{row.name}/{file}" for row in self.rows for file in files]

    def figure(self, metric: str, name: str) -> tuple[Table, Markup | None] | None:
        """A table, and the same drawn where there is something to compare.

        None where no row has that rate. `name`: what the ids of the drawing begin with.
        """
        shown = METRICS[metric]
        rows = [(row, row.rates[metric]) for row in self.rows if metric in row.rates]
        if not rows:
            return None
        title = f"{shown.label.capitalize()} of {self.model} by runtime"
        heads = ("Runtime", "Rate", "95% interval")
        cells = tuple(
            (
                row.label,
                shown.show(found.value),
                f"{words.between(shown, found.low, found.high)}, "
                f"n = {found.n} of {row.run.planned}",
            )
            for row, found in rows
        )
        made = Table(f"{title}; {self.shape}", heads, cells)
        if len(rows) == 1:
            return made, None
        bars = tuple(_bar(row, shown.show(found.value), found) for row, found in rows)
        told = ", ".join(f"{bar.label}: {bar.text}" for bar in bars)
        summary = f"{told}. On {self.machine}; lines are intervals, which the table has, too."
        return made, charts.draw(Chart(title, summary, bars), name)


@dataclass(frozen=True)
class Place:
    """Where on the site rates stand."""

    rates: Rates
    href: str


@dataclass(frozen=True)
class Beside:
    """A claim's rate beside those of the same model on other runtimes, where there are any.

    `href`: where both of the model's rates stand.
    """

    table: Table | None
    chart: Markup | None
    note: str | None
    warnings: list[str]
    href: str


def beside(place: Place, metric: str, name: str) -> Beside:
    """What a claim on `metric` shows of the rates that its run is one of."""
    found = place.rates.figure(metric, name) if metric in RATES else None
    table, chart = found or (None, None)
    if chart is None:
        return Beside(None, None, None, [], place.href)
    return Beside(table, chart, place.rates.note, place.rates.warnings, place.href)


def gather(runs: Iterable[tuple[Path, Run]], machines: dict[str, Machine]) -> list[Rates]:
    """Every model's rates, by model, machine and shape. Raises BadFile for damaged samples."""
    groups: dict[tuple[str, str, str], list[tuple[Path, Run]]] = {}
    for folder, run in runs:
        if run.cell.workload == "speed" and run.arm == "measured":
            key = str(run.cell.model), run.machine, _shape(run)
            groups.setdefault(key, []).append((folder, run))
    found = []
    for (model, machine, shape), members in sorted(groups.items()):
        known = machines.get(machine)
        rows = _rows(members)
        names = tuple(f"{machine}/{folder.name}" for folder, _ in members)
        where = words.machine(known) if known else machine
        found += [Rates(model, where, shape, rows, names)] if rows else []
    return found


def _shape(run: Run) -> str:
    """What must be the same for two rates to stand beside each other."""
    if run.shape is None or run.settings is None:
        return ""
    tokens = f"{run.shape.prompt_tokens} prompt tokens, {run.shape.new_tokens} new tokens"
    return f"{tokens}, {run.settings.threads} threads"


def _rows(members: Sequence[tuple[Path, Run]]) -> tuple[Row, ...]:
    newest: dict[tuple[str, ...], tuple[Path, Run]] = {}
    for folder, run in members:  # which come oldest first
        able = run.valid and run.shape and run.settings and not run.cell.memory_limit
        if able and run.artifact and run.samples - run.failed > 1:
            cell = run.cell
            key = str(cell.runtime), str(cell.device), str(cell.quantisation), run.artifact.weights
            newest[key] = folder, run
    found = (_row(*newest[key]) for key in sorted(newest))
    return tuple(row for row in found if row)


def _row(folder: Path, run: Run) -> Row | None:
    samples = store.read_samples(folder)
    if emulated(samples):
        return None
    rates: dict[str, Estimate] = {}
    for metric in RATES:
        values = [one for sample in samples if (one := value(metric, sample)) is not None]
        estimate = statistics.mean_of_logs(values)
        rates |= {metric: estimate} if estimate else {}
    return Row(f"{run.machine}/{folder.name}", run, rates) if rates else None


def _bar(row: Row, text: str, found: Estimate) -> Bar:
    text = f"synthetic, {text}" if row.synthetic else text
    return Bar(row.short, found.value, text, found.low, found.high)
