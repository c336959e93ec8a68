"""The forward pass of training, over the model's own modules, and its losses."""

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence
from transformers import LlavaOnevisionForConditionalGeneration

from . import sight
from .codes import Codes
from .rows import IGNORED, Batch, Row
from .sight import Glimpses
from .things import PLACES

SIGHT_SHARE = 0.3
BLUR = 0.03  # of imagined tokens: each number is off by about this much
LINE = 256  # tokens in a line of packed rows, unless one row is longer


class Student:
    def __init__(self, model: LlavaOnevisionForConditionalGeneration, codes: Codes) -> None:
        self.model = model
        self.codes = codes

    def seers(self) -> nn.Module:
        """The tower, and the projector that writes for it."""
        model = self.model.model
        return nn.ModuleList([model.vision_tower, model.multi_modal_projector])

    def readers(self) -> nn.Module:
        """The text model, and what it reads at the end of each line of an image's tokens."""
        model = self.model.model
        return nn.ModuleList([nn.ParameterList([model.image_newline]), model.language_model])

    def see(self, glimpses: Glimpses) -> Tensor:
        """The loss of the tower by itself."""
        return sight.loss(self.codes, self._look(glimpses), glimpses.labels)

    def read(self, batch: Batch) -> Tensor:
        """The loss of the text model by itself: of the answers about images never drawn."""
        written = self.codes.write(batch.labels)
        tiles = written + BLUR * torch.randn_like(written)
        features, _ = self.model.model.pack_image_features(
            torch.split(tiles, batch.tiles_per_image),
            batch.sizes,
            image_newline=self.model.model.image_newline,
            vision_aspect_ratio=self.model.config.vision_aspect_ratio,
        )
        return self._answer(batch, features)

    def answer(self, batch: Batch, progress: float) -> Tensor:
        """Of the answers about drawn images, and of the sight with a weight that falls to none."""
        output = self.model.get_image_features(
            batch.pixels, batch.sizes, batch_num_images=torch.tensor(batch.images_per_row)
        )
        images = list(output.pooler_output)
        first = torch.stack([image[: len(PLACES)] for image in images])  # the tile that shows all
        seen = sight.loss(self.codes, first, batch.labels)
        return self._answer(batch, images) + SIGHT_SHARE * (1 - progress) * seen

    @torch.no_grad()
    def share_of_digits(self, glimpses: Glimpses) -> float:
        """How many the tower by itself reads right."""
        _, _, digits = self.codes.read(self._look(glimpses))
        return float((digits.mean(1).argmax(-1) == glimpses.labels.digits).float().mean())

    def _look(self, glimpses: Glimpses) -> Tensor:
        tower = self.model.model.vision_tower(glimpses.pixels, output_hidden_states=True)
        tokens: Tensor = self.model.model.multi_modal_projector(tower.hidden_states[-1])
        return tokens

    def _answer(self, batch: Batch, features: list[Tensor]) -> Tensor:
        image = self.model.config.image_token_id
        lengths = iter([len(feature) for feature in features])
        images = batch.images_per_row + [0] * (len(batch.rows) - len(batch.images_per_row))
        rows = [
            _expand(row, image, [next(lengths) for _ in range(number)])
            for row, number in zip(batch.rows, images, strict=True)
        ]
        lines = Lines(rows)
        embedded = self.model.get_input_embeddings()(lines.ids)
        order = [index for line in lines.order for index in line]
        packed = _reorder(features, images, order)
        embedded = embedded.masked_scatter((lines.ids == image)[..., None], packed)
        hidden = self.model.model.language_model(
            inputs_embeds=embedded,
            attention_mask=lines.mask(),
            position_ids=lines.positions,
            use_cache=False,
        ).last_hidden_state
        asked = lines.targets != IGNORED
        return functional.cross_entropy(self.model.lm_head(hidden[asked]), lines.targets[asked])


class Lines:
    """Rows packed side by side into lines of about the same length, to compute little padding."""

    def __init__(self, rows: list[Row]) -> None:
        self.order = _pack([len(row.ids) for row in rows])
        lines = [[rows[index] for index in line] for line in self.order]
        self.ids = _pad([[row.ids for row in line] for line in lines], 0)
        self.targets = _pad([[row.targets for row in line] for line in lines], IGNORED)
        self.segments = _pad([[row.segments for row in line] for line in lines], 0)
        self.positions = _pad([[_positions(row.segments) for row in line] for line in lines], 0)
        self.numbers = _pad(
            [[torch.full_like(r.ids, n) for n, r in enumerate(line)] for line in lines], -1
        )

    def mask(self) -> Tensor:
        """[lines, 1, tokens, tokens]: True where a token may look."""
        order = torch.arange(self.ids.shape[1])
        asking, asked = self.segments[:, :, None], self.segments[:, None, :]
        row = self.numbers[:, :, None] == self.numbers[:, None, :]
        return (row & ((asked == asking) | (asked == 0)) & (order[:, None] >= order))[:, None]


def _expand(row: Row, image: int, lengths: list[int]) -> Row:
    counts = torch.ones_like(row.ids)
    counts[row.ids == image] = torch.tensor(lengths, dtype=torch.long)
    return Row(*(part.repeat_interleave(counts) for part in (row.ids, row.targets, row.segments)))


def _pack(lengths: list[int]) -> list[list[int]]:
    """First fit, longest first."""
    lines: list[list[int]] = []
    room: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        fitting = next((n for n, free in enumerate(room) if free >= lengths[index]), None)
        if fitting is None:
            lines.append([])
            room.append(max(LINE, *lengths))
            fitting = len(lines) - 1
        lines[fitting].append(index)
        room[fitting] -= lengths[index]
    return lines


def _pad(lines: list[list[Tensor]], value: int) -> Tensor:
    return pad_sequence([torch.cat(line) for line in lines], True, value)


def _reorder(features: list[Tensor], images: list[int], order: list[int]) -> Tensor:
    """The features of all images, in the order in which their rows were packed."""
    rest = iter(features)
    rows = [[next(rest) for _ in range(number)] for number in images]
    return torch.cat([feature for index in order for feature in rows[index]])


def _positions(segments: Tensor) -> Tensor:
    """Every question goes on from the end of segment 0."""
    sizes = torch.bincount(segments).tolist()
    start = sizes[0]
    parts = [torch.arange(start)] + [torch.arange(start, start + size) for size in sizes[1:]]
    return torch.cat(parts)
