"""Packed weights are kept while the parameters stay the same, and never used after they have changed."""

import copy
import gc
import weakref
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from mambadfuse.models.config import MambaConfig
from mambadfuse.models.mamba import Mamba, MambaStack
from mambadfuse.ops.cpu.packing import padded, reuse_while_unchanged


def outputs(stack: nn.Module, x: Tensor) -> Tensor:
    with torch.inference_mode():
        return stack(x)[0].clone()


def fresh(stack: nn.Module, x: Tensor) -> Tensor:
    """As :func:`outputs`, from parameters that have never been packed."""
    return outputs(copy.deepcopy(stack), x)


def step(stack: nn.Module, optimiser: type[torch.optim.Optimizer]) -> None:
    stack(torch.randn(2, 9, 16))[0].square().sum().backward()
    optimiser(stack.parameters(), lr=0.1).step()


def replace_data(stack: nn.Module) -> None:
    for parameter in stack.parameters():
        parameter.data = parameter.data * 1.5


def change_data_in_place(stack: nn.Module) -> None:
    for parameter in stack.parameters():
        version = parameter._version
        parameter.data.mul_(1.5)
        assert parameter._version == version  # nothing but the values shows this change


def change_through_numpy(stack: nn.Module) -> None:
    for parameter in stack.parameters():
        array = parameter.detach().numpy()
        array *= 1.5


def change_in_place(stack: nn.Module) -> None:
    with torch.no_grad():
        for parameter in stack.parameters():
            parameter.mul_(1.5)


def load(stack: nn.Module, assign: bool) -> None:
    other = {name: 1.5 * x for name, x in stack.state_dict().items()}
    stack.load_state_dict(other, assign=assign)


def change_one_number(stack: nn.Module, name: str) -> None:
    dict(stack.named_parameters())[name].data.view(-1)[-1] += 0.5


def replace_a_parameter(stack: MambaStack) -> None:
    stack.blocks[0].mamba.ssm.A_log = nn.Parameter(stack.blocks[0].mamba.ssm.A_log.detach() / 2)


CHANGES: dict[str, Callable[[nn.Module], None]] = {
    "SGD": lambda stack: step(stack, torch.optim.SGD),
    "Adam": lambda stack: step(stack, torch.optim.Adam),
    "load_state_dict": lambda stack: load(stack, assign=False),
    "load_state_dict, assigned": lambda stack: load(stack, assign=True),
    "data replaced": replace_data,
    "data changed in place": change_data_in_place,
    "through NumPy": change_through_numpy,
    "in place": change_in_place,
    "to float64 and back": lambda stack: (stack.double(), change_in_place(stack), stack.float()),
    "to bfloat16 and back": lambda stack: stack.bfloat16().float(),
    "a parameter replaced": replace_a_parameter,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_changed_weights_are_packed_anew(change: Callable[[nn.Module], None]):
    torch.manual_seed(0)
    stack, x = MambaStack(MambaConfig(16), 2), torch.randn(1, 40, 16)
    before = outputs(stack, x)
    assert torch.equal(outputs(stack, x), before)
    change(stack)
    after = outputs(stack, x)
    assert not torch.equal(after, before)
    assert torch.equal(after, fresh(stack, x))


NAMES = [name for name, _ in MambaStack(MambaConfig(16), 1).named_parameters()]


@pytest.mark.parametrize("name", NAMES)
def test_one_number_of_any_weight_counts(name: str):
    torch.manual_seed(0)
    stack, x = MambaStack(MambaConfig(16), 1), torch.randn(1, 40, 16)
    before = outputs(stack, x)
    change_one_number(stack, name)
    after = outputs(stack, x)
    assert not torch.equal(after, before)
    assert torch.equal(after, fresh(stack, x))


def test_an_abandoned_change_of_dtype_does_no_harm():
    stack, x = MambaStack(MambaConfig(16), 1), torch.randn(1, 40, 16)
    before = outputs(stack, x)
    with pytest.raises(TypeError):
        outputs(stack.double(), x)  # tokens and weights must agree
    assert torch.equal(outputs(stack.float(), x), before)


def test_gradients_come_from_the_parameters_themselves():
    unit, x = Mamba(MambaConfig(16)), torch.randn(2, 9, 16)
    with torch.no_grad():
        expected = unit(x)
    y = unit(x)
    assert torch.equal(y, expected)
    y.sum().backward()
    assert all(parameter.grad is not None for parameter in unit.parameters())


class Counting:
    """Counts the calls of a packing function."""

    def __init__(self) -> None:
        self.calls = 0
        self.pack = reuse_while_unchanged(self._pack)

    def _pack(self, *parameters: Tensor) -> Tensor:
        self.calls += 1
        return torch.cat([x.flatten() for x in parameters])


def test_the_same_parameters_are_packed_once_whatever_views_they_come_in():
    counting, (a, b) = Counting(), (torch.randn(4), torch.randn(4, 1, 2))
    first = counting.pack(a, b.squeeze(1))
    assert counting.pack(a, b.squeeze(1)) is first
    assert counting.calls == 1
    counting.pack(a.clone(), b.squeeze(1))
    assert counting.calls == 2


def test_an_entry_lives_no_longer_than_its_parameter():
    counting, parameter = Counting(), nn.Parameter(torch.randn(4))
    kept = weakref.ref(counting.pack(parameter))
    gone = weakref.ref(parameter)
    assert kept() is not None
    del parameter
    gc.collect()
    assert gone() is None
    assert kept() is None


def test_packed_parameters_can_be_swapped():
    stack, other = (MambaStack(MambaConfig(16), 1) for _ in range(2))
    x = torch.randn(1, 40, 16)
    before, expected = outputs(stack, x), outputs(other, x)
    for one, two in zip(stack.parameters(), other.parameters(), strict=True):
        torch.utils.swap_tensors(one, two)
    assert torch.equal(outputs(stack, x), expected)
    assert torch.equal(outputs(other, x), before)


def test_weights_that_are_not_numbers_are_packed_each_time():
    counting, x = Counting(), torch.tensor([float("nan")])
    counting.pack(x), counting.pack(x)
    assert counting.calls == 2


def test_padding_fills_each_axis_up_to_a_multiple():
    x = torch.ones(3, 16)
    assert padded(x, 4, 8).shape == (4, 16)
    assert padded(x, 4, 8).sum() == 48
    assert padded(x, 1, 1).data_ptr() != x.data_ptr()
