"""The items of a task, put to a server as messages: it renders the prompt, and nobody sees it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn, cast

from harness.run.protocol import Channel, Request
from harness.run.runtimes import ArtifactRefused
from harness.run.runtimes.chat import Chat
from harness.run.tasks import Item
from harness.run.workloads import make_runtime
from harness.run.workloads.items import Data, answer_of, asked, items_of, one_by_one, told
from harness.run.workloads.respondent import before


def measure(request: Request, channel: Channel) -> Iterator[Data]:
    """One sample per item that is not in `request.skip`."""

    def alive() -> None:
        channel.send("alive")

    runtime = cast(Chat, make_runtime(request))
    runtime.load(str(request.artifact), alive)
    task = asked(request)

    def ask(item: Item, _: None) -> Data:
        channel.send("item", item=item.id)
        return answer_of(task, item, Correspondent(runtime, alive))

    yield from told(one_by_one(items_of(task, request), ask), channel)


class Correspondent:
    """Answers one item from a server. Implements `harness.run.tasks.Respondent`."""

    def __init__(self, runtime: Chat, answered: Callable[[], None] = lambda: None) -> None:
        self.turns: list[dict[str, Any]] = []
        self._runtime, self._answered = runtime, answered

    def answer(
        self,
        messages: Sequence[dict[str, Any]],
        max_new_tokens: int,
        *,
        images: Sequence[bytes] = (),
        tools: list[dict[str, Any]] | None = None,
        stop: Sequence[str] = (),
        schema: dict[str, Any] | None = None,
    ) -> str:
        if images or schema:
            raise ArtifactRefused("a server is sent no pictures and no grammar from here")
        said = self._runtime.reply(messages, max_new_tokens, tools=tools, stop=stop)
        self.turns.append(
            {
                "prompt_sha256": None,
                "prompt_tokens": said.prompt_tokens,
                "evaluated_tokens": None,
                "new_tokens": said.new_tokens,
                "stopped": said.stopped,
                "reply": said.reply,
            }
        )
        self._answered()
        return before(said.text, stop)

    def prompt_tokens(self, messages: Sequence[dict[str, Any]]) -> int:
        self._refuse("how many tokens a prompt has")

    def likelihoods(self, context: str, options: Sequence[str]) -> list[float]:
        self._refuse("how likely a text is")

    def window(self, text: str, at: int, length: int) -> list[tuple[float, bool]]:
        self._refuse("how likely a text is")

    def _refuse(self, what: str) -> NoReturn:
        raise ArtifactRefused(f"a server that takes messages does not tell {what}")
