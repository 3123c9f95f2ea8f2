# SPDX-License-Identifier: Apache-2.0
"""What was packed from weights is packed anew once anything in the module has changed, and only then."""

import copy
import pickle

import pytest
import torch
from torch import nn

from sphmask_core.sparse.kept import Kept


def small_network():
    return nn.Sequential(nn.Linear(3, 4), nn.Sequential(nn.BatchNorm1d(4), nn.ReLU()), nn.Linear(4, 2, False))


def write(network):
    with torch.no_grad():
        network[2].weight[0, 0] += 1


def write_statistics(network):
    network[1][0](torch.randn(8, 4))


def replace_parameter(network):
    network[0].bias = nn.Parameter(network[0].bias.detach().clone())


def load_in_place(network):
    network.load_state_dict(small_network().state_dict())


def load_by_assignment(network):
    network.load_state_dict(small_network().state_dict(), assign=True)


def step(network):
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    network(torch.randn(8, 3)).sum().backward()
    optimizer.step()


def convert(network):
    network.double().float()


def replace_module(network):
    network[1][1] = nn.Identity()


def append_module(network):
    network.append(nn.ReLU())


CHANGES = (
    *(write, write_statistics, replace_parameter, load_in_place, load_by_assignment, step, convert),
    *(replace_module, append_module),
)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_every_change_is_noticed(change):
    network = small_network()
    kept = Kept(network, "packed")
    change(network)
    assert kept.changed()


@torch.no_grad()
def test_nothing_has_changed_after_inference():
    network = small_network().eval()
    kept = Kept(network, "packed")
    network(torch.randn(8, 3))
    network.train().eval()
    assert not kept.changed() and kept.packed == "packed"


def test_weights_made_in_inference_mode_are_watched_by_their_address():
    with torch.inference_mode():
        network = small_network()
    kept = Kept(network, "packed")
    assert not kept.changed()
    replace_parameter(network)
    assert kept.changed()


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda both: pickle.loads(pickle.dumps(both))])
def test_a_copy_is_watched_for_itself(copied):
    network = small_network()
    kept = Kept(network, "packed")
    twin, of_twin = copied((network, kept))
    assert of_twin.changed()  # its tensors are elsewhere
    write(twin)
    assert not kept.changed()
