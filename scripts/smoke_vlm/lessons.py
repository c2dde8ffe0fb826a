"""What is taught: first sight (the vision tower names shape and colour), then answers.

Taught together from the start, colour is soon learned and shape is not.

A lesson gives the loss of one batch and says how well it is learned, on images kept out of it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import Idefics3ForConditionalGeneration, PreTrainedTokenizerFast

from smoke_vlm.folder import IMAGE_TOKENS, PATCH, TEMPLATE
from smoke_vlm.pictures import (
    COLOURS,
    SHAPES,
    SIDE,
    UNKNOWN,
    Asked,
    Parts,
    Split,
    normalised,
    pixels,
)

KEPT_OUT = 400
"""Images of the train split that no lesson shows; progress is measured on them."""
SHARPNESS = 1.6
"""At the start, heads of the first layer give three quarters of their attention to one patch."""


class Images:
    """The train split, the images kept out of the lessons apart."""

    def __init__(self, train: Split) -> None:
        images = pixels(train.paths)
        self.parts = Parts(images[:-KEPT_OUT], train.asked[:-KEPT_OUT])
        self.asked = train.asked[:-KEPT_OUT]
        self.unseen = normalised(images[-KEPT_OUT:])
        self.unseen_asked = train.asked[-KEPT_OUT:]
        self.unseen_parts = Parts(images[-KEPT_OUT:], self.unseen_asked)


def image_tokens(model: Idefics3ForConditionalGeneration, images: Tensor) -> Tensor:
    """What stands for the images in the text: (n, tokens, hidden)."""
    seen = model.model.vision_model(pixel_values=images).last_hidden_state
    tokens: Tensor = model.model.connector(seen)
    return tokens


def look_around(model: Idefics3ForConditionalGeneration) -> None:
    """Starts the tower much as a convolution: in all layers but the last, the four heads look at
    the patch above, below, left and right. All of it is learned on from there. With this, nine in
    ten shapes are told apart after 14,000 pictures; started from noise, half after 10,000.

    A position is written as sines and cosines of its row and column, in which a step aside is a
    rotation: the queries are the rotated keys.
    """
    vision = model.model.vision_model
    side, hidden = SIDE // PATCH, vision.config.hidden_size
    waves = torch.pi * torch.arange(1, side + 1) / side
    angles = torch.arange(side)[:, None] * waves
    code = torch.cat([angles.cos(), angles.sin()], dim=1)
    table = torch.zeros(side, side, hidden)
    table[..., : 2 * side] = code[:, None]
    table[..., 2 * side : 4 * side] = code
    steps = [(-1, 0), (1, 0), (0, -1), (0, 1)]
    turns = [torch.block_diag(*(_turn(waves * one) for one in step)) for step in steps]
    stays = [torch.eye(4 * side)] * len(steps)
    with torch.no_grad():
        vision.embeddings.position_embedding.weight.copy_(table.flatten(0, 1))
        for layer in vision.encoder.layers[:-1]:
            attention = layer.self_attn
            for projection, one in ((attention.q_proj, turns), (attention.k_proj, stays)):
                projection.weight.zero_()
                projection.weight[:, : 4 * side] = torch.cat(one) * SHARPNESS


def _turn(angles: Tensor) -> Tensor:
    """Takes the cosines and sines of x to those of x + `angles`."""
    cosine, sine = angles.cos().diag(), angles.sin().diag()
    return torch.cat([torch.cat([cosine, -sine], dim=1), torch.cat([sine, cosine], dim=1)])


def texts(train: Split) -> list[str]:
    """What the tokenizer learns its words from: all that a chat holds."""
    said = {one for asked in train.asked for one in asked}
    layout = ["User:", "Assistant:\n"]
    return sorted({one.text for one in said}) + sorted({f" {one.answer}" for one in said}) + layout


class Lesson(nn.Module):
    """A loss to take steps on. Its parameters are what it teaches and what it throws away."""

    name: str
    steps: int
    rate: float

    def __init__(self, model: Idefics3ForConditionalGeneration, images: Images) -> None:
        super().__init__()
        self.model = (model,)  # in a tuple, so that a lesson's parameters are only what it teaches
        self.images = images

    def loss(self, chance: torch.Generator) -> Tensor:
        """The loss of a batch that `chance` draws."""
        raise NotImplementedError

    def learned(self) -> str:
        """How much of the images kept out is right."""
        raise NotImplementedError


class Sight(Lesson):
    """Tower and connector name shape and colour, and say how large the shape is, through linear
    heads on the mean of the image's tokens. The heads are thrown away: the lesson is for what they
    read. Nobody asks for sizes later; but height, width and area give the shape.
    """

    name, steps, batch, rate = "sight", 1400, 16, 1e-3
    weight_of_sizes = 0.3

    def __init__(self, model: Idefics3ForConditionalGeneration, images: Images) -> None:
        super().__init__(model, images)
        hidden = model.config.text_config.hidden_size
        self.taught = nn.ModuleList([model.model.vision_model, model.model.connector])
        self.shape = nn.Linear(hidden, len(SHAPES))
        self.colour = nn.Linear(hidden, len(COLOURS))
        self.sizes = nn.Linear(hidden, images.parts.sizes.shape[1])

    def loss(self, chance: torch.Generator) -> Tensor:
        parts = self.images.parts
        shapes = torch.randint(len(parts), (self.batch,), generator=chance)
        paints = torch.randint(len(parts), (self.batch,), generator=chance)
        mean = self._mean(normalised(parts.compose(shapes, paints, chance)))
        named = cross_entropy(self.shape(mean), parts.shape[shapes])
        named = named + cross_entropy(self.colour(mean), parts.colour[paints])
        off = (self.sizes(mean) - parts.sizes[shapes]).square().mean(0).sum()
        return named + self.weight_of_sizes * off

    def _mean(self, images: Tensor) -> Tensor:
        return image_tokens(self.model[0], images).mean(1)

    @torch.no_grad()
    def learned(self) -> str:
        mean, parts = self._mean(self.images.unseen), self.images.unseen_parts
        shape, colour = (
            _right(self.shape(mean), parts.shape),
            _right(self.colour(mean), parts.colour),
        )
        return f"shape {shape}, colour {colour}"


class Answers(Lesson):
    """The text model answers from what the tower, settled by now, sees; the loss is on the answer
    and the token that ends it.

    Several questions share one image and one pass: each sees the image and itself, and stands
    where it would stand alone.
    """

    name, steps, batch, rate = "answers", 1000, 4, 1e-3
    questions, watched = 8, 100

    def __init__(
        self,
        model: Idefics3ForConditionalGeneration,
        images: Images,
        words: PreTrainedTokenizerFast,
    ) -> None:
        super().__init__(model, images)
        self.taught = nn.ModuleList([model.model.text_model, model.lm_head])
        self.prompt = Prompt(words)

    def loss(self, chance: torch.Generator) -> Tensor:
        rows = torch.randint(len(self.images.parts), (self.batch,), generator=chance)
        composed = normalised(self.images.parts.compose(rows, rows, chance))
        picked = [self._some(self.images.asked[row], chance) for row in rows.tolist()]
        logits, labels = self._answered(composed, picked)
        return cross_entropy(logits, labels)

    def _some(self, asked: list[Asked], chance: torch.Generator) -> list[Asked]:
        """As many questions as fit, in any order; from few, some come twice."""
        order = torch.randperm(len(asked), generator=chance).tolist()
        return [asked[order[at % len(order)]] for at in range(self.questions)]

    def _answered(self, images: Tensor, asked: list[list[Asked]]) -> tuple[Tensor, Tensor]:
        """Logits and labels of each token of each answer."""
        model = self.model[0].model
        ids, labels, places, mask = self.prompt.packed(asked)
        start = self.prompt.image_at
        embedded = model.text_model.get_input_embeddings()(ids)
        with torch.no_grad():
            seen = image_tokens(self.model[0], images)
        parts = [embedded[:, :start], seen, embedded[:, start + IMAGE_TOKENS :]]
        hidden = model.text_model(
            inputs_embeds=torch.cat(parts, dim=1),
            position_ids=places.expand(len(ids), -1),
            attention_mask=mask.expand(len(ids), -1, -1, -1),
            use_cache=False,
        ).last_hidden_state
        wanted = labels[:, 1:] != UNKNOWN
        return self.model[0].lm_head(hidden[:, :-1][wanted]), labels[:, 1:][wanted]

    @torch.no_grad()
    def learned(self) -> str:
        chance = torch.Generator().manual_seed(0)
        picked = [self._some(one, chance) for one in self.images.unseen_asked[: self.watched]]
        logits, labels = self._answered(self.images.unseen[: self.watched], picked)
        return f"answers {_right(logits[::2], labels[::2])}"  # each is one token, then the end


class Prompt:
    """Chats as token ids, as the chat template and the processor lay them out."""

    def __init__(self, words: PreTrainedTokenizerFast) -> None:
        self.words = words
        self.known: dict[Asked, tuple[list[int], int]] = {}
        opening, _ = self._encoded(Asked("", ""))
        image = words.convert_tokens_to_ids("<image>")
        self.image_at = opening.index(image)
        self.opening = opening[: self.image_at + IMAGE_TOKENS + 1]

    def packed(self, asked: list[list[Asked]]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Ids and labels, one row per image; positions and attention mask, the same for all."""
        found = [[self._question(one) for one in row] for row in asked]
        width = max(len(ids) for row in found for ids, _ in row)
        ids = torch.full((len(asked), len(asked[0]), width), self.words.pad_token_id)
        labels = torch.full_like(ids, UNKNOWN)
        for at, row in enumerate(found):
            for place, (question, answer) in enumerate(row):
                end = len(question)
                ids[at, place, :end] = torch.tensor(question)
                labels[at, place, end - answer : end] = ids[at, place, end - answer : end]
        opening = torch.tensor(self.opening).expand(len(asked), -1)
        blank = torch.full_like(opening, UNKNOWN)
        return (
            torch.cat([opening, ids.flatten(1)], dim=1),
            torch.cat([blank, labels.flatten(1)], dim=1),
            *self._apart(len(asked[0]), width),
        )

    def _apart(self, questions: int, width: int) -> tuple[Tensor, Tensor]:
        """Positions and mask that let no question see another."""
        before = len(self.opening)
        block = torch.arange(questions).repeat_interleave(width) + 1
        block = torch.cat([torch.zeros(before, dtype=torch.long), block])
        after = before + torch.arange(width).repeat(questions)
        places = torch.cat([torch.arange(before), after])
        order = torch.arange(len(block))
        seen = (order[None] <= order[:, None]) & (
            (block[None] == 0) | (block[None] == block[:, None])
        )
        mask = torch.zeros(seen.shape).masked_fill(~seen, torch.finfo(torch.float32).min)
        return places[None], mask[None, None]

    def _question(self, asked: Asked) -> tuple[list[int], int]:
        """What follows the image, and how many tokens at its end are the answer."""
        if asked not in self.known:
            ids, answer = self._encoded(asked)
            self.known[asked] = ids[len(self.opening) :], answer
        return self.known[asked]

    def _encoded(self, asked: Asked) -> tuple[list[int], int]:
        user = {
            "role": "user",
            "content": [{"type": "image"}, {"type": "text", "text": asked.text}],
        }
        reply = {"role": "assistant", "content": [{"type": "text", "text": asked.answer}]}
        whole = self._ids([user, reply], generate=False)
        return whole, len(whole) - len(self._ids([user], generate=True))

    def _ids(self, messages: list[dict[str, object]], *, generate: bool) -> list[int]:
        text = self.words.apply_chat_template(
            messages, chat_template=TEMPLATE, tokenize=False, add_generation_prompt=generate
        )
        around, tag = "<fake_token_around_image>", "<global-img>"
        image = f"{around}{tag}{'<image>' * IMAGE_TOKENS}{around}"
        text = text.removesuffix("\n").replace("<image>", image)
        ids: list[int] = self.words(text, add_special_tokens=False).input_ids
        return ids


def _right(logits: Tensor, labels: Tensor) -> str:
    known = labels != UNKNOWN
    return f"{(logits.argmax(-1)[known] == labels[known]).float().mean():.1%}"
