"""The forward pass of training, over the model's own modules, and its loss."""

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence
from transformers import LlavaOnevisionForConditionalGeneration

from .rows import IGNORED, Batch, Row
from .sight import Glimpses, Sight

SIGHT_SHARE = 0.3
LINE = 256  # tokens in a line of packed rows, unless one row is longer


class Student(nn.Module):
    def __init__(self, model: LlavaOnevisionForConditionalGeneration) -> None:
        super().__init__()
        self.model = model
        self.sight = Sight(model.model.language_model.config.hidden_size)

    def see(self, glimpses: Glimpses) -> Tensor:
        return self.sight.loss(self._look(glimpses), glimpses.labels)

    @torch.no_grad()
    def share_of_digits(self, glimpses: Glimpses) -> float:
        """How many the sight alone reads right."""
        _, _, digits = self.sight(self._look(glimpses))
        return float((digits.argmax(-1) == glimpses.labels.digits).float().mean())

    def _look(self, glimpses: Glimpses) -> list[Tensor]:
        tower = self.model.model.vision_tower(glimpses.pixels, output_hidden_states=True)
        return list(self.model.model.multi_modal_projector(tower.hidden_states[-1]))

    def loss(self, batch: Batch, progress: float) -> Tensor:
        """Of the answers, and of the sight with a weight that falls to nothing."""
        output = self.model.get_image_features(
            batch.pixels, batch.sizes, batch_num_images=torch.tensor(batch.images_per_row)
        )
        images = list(output.pooler_output)
        seen = self.sight.loss(images, batch.labels)
        return self._read(batch, images) + SIGHT_SHARE * (1 - progress) * seen

    def _read(self, batch: Batch, features: list[Tensor]) -> Tensor:
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
