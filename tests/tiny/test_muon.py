import torch
from torch import nn

from modserve.tiny.muon import Muon, orthogonal


def test_singular_values_come_near_one() -> None:
    torch.manual_seed(0)
    for shape in ((3, 8, 20), (3, 20, 8), (1, 16, 16)):
        values = torch.linalg.svdvals(orthogonal(torch.randn(shape)))
        assert values.max() < 1.3
        assert values.median() > 0.6


def test_steps_go_downhill() -> None:
    torch.manual_seed(0)
    weight, goal = nn.Parameter(torch.zeros(6, 4)), torch.randn(6, 4)
    muon = Muon([weight])
    for step in range(200):
        weight.grad = weight.detach() - goal
        muon.step(0.2 * (1 - step / 200))
    assert (weight - goal).norm() < 0.1 * goal.norm()
