# SPDX-License-Identifier: Apache-2.0
"""Every command ends in one line where there is no memory, be it NumPy or torch that asks for it."""

import numpy as np
import pytest
import torch

from sphmask_core.commands import cli
from training import adapt, prepare, train

TOO_MUCH = 1 << 50
"""Elements; no machine has memory for them."""


def ask_numpy(*_):
    np.empty(TOO_MUCH)


def ask_torch(*_):
    torch.empty(TOO_MUCH)


COMMANDS = {
    "segment": (cli, "segment", ["segment", "cloud.ply", "-o", "out"], cli.main),
    "train": (train.Runner, "start", ["tabletop"], train.main),
    "prepare": (prepare, "prepare", ["scannetv2", "--raw", "raw", "--out", "out"], prepare.main),
    "adapt": (adapt, "adapt_weights", ["frames", "-o", "adapted.safetensors"], adapt.main),
}


@pytest.mark.parametrize("ask", [ask_numpy, ask_torch])
@pytest.mark.parametrize("command", COMMANDS)
def test_no_memory_is_one_line(tmp_path, monkeypatch, capsys, command, ask):
    owner, step, arguments, main = COMMANDS[command]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(owner, step, ask)
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and any(words in error for words in ("out of memory", "Unable to allocate"))


def test_other_errors_of_torch_are_defects(monkeypatch):
    def fail(_):
        torch.zeros(2) + torch.zeros(3)

    monkeypatch.setattr(cli, "segment", fail)
    with pytest.raises(RuntimeError, match="size of tensor"):
        cli.main(["segment", "cloud.ply", "-o", "out"])
