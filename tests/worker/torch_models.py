"""Write files of torch.export and TorchScript. Run as `python torch_models.py DIGITS.pt OUT`, by a Python with PyTorch.

The tests' own Python has no PyTorch: its packages have gigabytes.
"""

import os
import sys
from typing import List

import torch
from torch import nn


class Digits(nn.Module):
    """The network of models/digits, as a person writes it."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(1, 16, 3, padding=1)
        self.second = nn.Conv2d(16, 32, 3, padding=1)
        self.hidden = nn.Linear(128, 32)
        self.last = nn.Linear(32, 10)

    def forward(self, image):
        pool1 = torch.max_pool2d(torch.relu(self.first(image.permute(0, 3, 1, 2))), 2)
        pool2 = torch.max_pool2d(torch.relu(self.second(pool1)), 2)
        return torch.softmax(self.last(torch.relu(self.hidden(pool2.permute(0, 2, 3, 1).flatten(1)))), 1)


class Sum(nn.Module):
    """Adds its input to what it has summed up so far."""

    def __init__(self):
        super().__init__()
        self.register_buffer("sum", torch.zeros(1, 2))

    def forward(self, x):
        self.sum.add_(x)
        return self.sum.clone()


class Odd(nn.Module):
    """Takes whole numbers beside half ones, and gives a map of a tensor and a tuple."""

    def forward(self, rows, more):
        return {"b": (rows + 1, more * 2), "a": more.sum()}


class Text(nn.Module):
    def forward(self, x, names: List[str]):  # noqa: FA100 TorchScript reads annotations
        return x * len(names)


def digits_of(weights):
    network = Digits().eval()
    kinds = {"kernel": "weight", "bias": "bias"}
    state = {}
    for name, value in torch.jit.load(weights).state_dict().items():
        layer, _, kind = name.rpartition("_")
        state[f"{layer}.{kinds[kind]}"] = value
    network.load_state_dict(state)
    return network


def main():
    weights, out = sys.argv[1:]
    network = digits_of(weights)
    torch.jit.script(Text()).save(os.path.join(out, "text.pt"))
    torch.save(network.state_dict(), os.path.join(out, "state.pt"))
    torch.jit.trace(network, torch.rand(1, 8, 8, 1)).save(os.path.join(out, "traced.pt"))
    if not hasattr(torch, "export"):
        return
    rows = torch.export.Dim("rows", min=1, max=64)
    programs = {
        "digits.pt2": torch.export.export(network, (torch.rand(1, 8, 8, 1),)),
        "open.pt2": torch.export.export(network, (torch.rand(2, 8, 8, 1),), dynamic_shapes=({0: rows},)),
        "sum.pt2": torch.export.export(Sum(), (torch.rand(1, 2),)),
        "odd.pt2": torch.export.export(
            Odd(), (torch.ones(1, 3, dtype=torch.int32),), {"more": torch.rand(1, 2).to(torch.bfloat16)}
        ),
    }
    for name, program in programs.items():
        torch.export.save(program, os.path.join(out, name))


if __name__ == "__main__":
    main()
