"""Random arguments for the sequence operations, and everything a call returns: outputs and gradients."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import pytest
import torch
from torch import Tensor

from mambadfuse import ops
from mambadfuse.ops import reference
from mambadfuse.ops.gpu import sizes

SCAN_OPTIONS = ("D", "z", "delta_bias", "initial_state")
CONV_OPTIONS = ("bias", "initial_state")
SSM_OPTIONS = ("z", "conv_state", "ssm_state")


@dataclass(frozen=True)
class Scan:
    """One call of the selective scan; ``given`` names the optional arguments that are not None."""

    batch: int = 2
    length: int = 20
    dim: int = 18
    state: int = 4
    softplus: bool = True
    given: tuple[str, ...] = SCAN_OPTIONS

    def tensors(self) -> dict[str, Tensor | None]:
        draw = torch.Generator().manual_seed(0)
        tokens, projected = (self.batch, self.length, self.dim), (self.batch, self.length, self.state)
        found = {
            "u": torch.randn(tokens, generator=draw),
            "delta": torch.rand(tokens, generator=draw) - (1 if self.softplus else 0),
            "A": -0.2 - 4 * torch.rand(self.dim, self.state, generator=draw),
            "B": torch.randn(projected, generator=draw),
            "C": torch.randn(projected, generator=draw),
            "D": torch.randn(self.dim, generator=draw),
            "z": torch.randn(tokens, generator=draw),
            "delta_bias": torch.rand(self.dim, generator=draw) / 2,
            "initial_state": torch.randn(self.batch, self.dim, self.state, generator=draw),
        }
        return {k: None if k in SCAN_OPTIONS and k not in self.given else x for k, x in found.items()}

    def flags(self) -> dict[str, object]:
        return {"delta_softplus": self.softplus}

    @cache  # noqa: B019  the cases are few and live as long as the session
    def expected(self) -> dict[str, Tensor]:
        return results(reference.selective_scan, as_float64(self.tensors()), self.flags())


@dataclass(frozen=True)
class Conv:
    """One call of the causal convolution; ``given`` names the optional arguments that are not None."""

    batch: int = 2
    length: int = 20
    dim: int = 18
    width: int = 4
    activation: str | None = "silu"
    given: tuple[str, ...] = CONV_OPTIONS

    def tensors(self) -> dict[str, Tensor | None]:
        draw = torch.Generator().manual_seed(1)
        found = {
            "x": torch.randn(self.batch, self.length, self.dim, generator=draw),
            "weight": torch.randn(self.dim, self.width, generator=draw),
            "bias": torch.randn(self.dim, generator=draw),
            "initial_state": torch.randn(self.batch, self.width - 1, self.dim, generator=draw),
        }
        return {k: None if k in CONV_OPTIONS and k not in self.given else x for k, x in found.items()}

    def flags(self) -> dict[str, object]:
        return {"activation": self.activation}

    @cache  # noqa: B019  as above
    def expected(self) -> dict[str, Tensor]:
        return results(reference.causal_conv1d, as_float64(self.tensors()), self.flags())


@dataclass(frozen=True)
class SSM:
    """One call of a whole SSM; ``given`` names the optional arguments that are not None."""

    batch: int = 1
    length: int = 5
    dim: int = 3
    state: int = 2
    rank: int = 2
    width: int = 4
    given: tuple[str, ...] = SSM_OPTIONS

    def tensors(self) -> dict[str, Tensor | None]:
        draw = torch.Generator().manual_seed(3)
        dim, state, rank, outputs = self.dim, self.state, self.rank, self.rank + 2 * self.state
        found = {
            "x": torch.randn(self.batch, self.length, dim, generator=draw),
            "z": torch.randn(self.batch, self.length, dim, generator=draw),
            "conv": torch.randn(dim, self.width, generator=draw),
            "conv_bias": torch.randn(dim, generator=draw),
            "x_proj": torch.randn(outputs, dim, generator=draw) / dim**0.5,
            "dt_proj": torch.randn(dim, rank, generator=draw) / rank**0.5,
            "dt_bias": torch.rand(dim, generator=draw) - 1,
            "A": -0.2 - 4 * torch.rand(dim, state, generator=draw),
            "D": torch.randn(dim, generator=draw),
            "conv_state": torch.randn(self.batch, self.width - 1, dim, generator=draw),
            "ssm_state": torch.randn(self.batch, dim, state, generator=draw),
        }
        return {k: None if k in SSM_OPTIONS and k not in self.given else x for k, x in found.items()}

    def flags(self) -> dict[str, object]:
        return {}

    @cache  # noqa: B019  as above
    def expected(self) -> dict[str, Tensor]:
        return results(ops.selective_ssm, as_float64(self.tensors()), {"backend": "reference"})


def subsets(names: tuple[str, ...]) -> list[tuple[str, ...]]:
    return [kept for n in range(len(names) + 1) for kept in itertools.combinations(names, n)]


# One thing varies at a time; only the optional arguments come in every combination.
SCANS = [
    *[Scan(length=9, dim=3, given=g, softplus=s) for g in subsets(SCAN_OPTIONS) for s in (False, True)],
    *[Scan(state=n) for n in (1, 2, 3, 16, 17, 64)],
    *[Scan(dim=d) for d in (1, 3, 15, 16, 17, 33, 120)],
    *[Scan(length=length, batch=1) for length in (1, 2, 63, 64, 65, 256, 257, 1000)],
    *[Scan(batch=b) for b in (1, 3)],
]
CONVS = [
    *[Conv(length=9, dim=3, given=g, activation=a) for g in subsets(CONV_OPTIONS) for a in (None, "silu")],
    *[Conv(width=w) for w in (1, 2, 3, 4, 7)],
    *[Conv(dim=d) for d in (1, 3, 15, 16, 17, 33, 120)],
    *[
        Conv(length=length, batch=1, given=g)
        for length in (1, 2, 3, 65, 1000)
        for g in (CONV_OPTIONS, ("bias",))
    ],
    *[Conv(batch=b) for b in (1, 3)],
]

# For Triton's interpreter, which takes 0.05 s for a token of a scan, forward and backward, in each program. The sizes
# lie around those of small_programs: lengths of one to five chunks, full and begun, channels of one to three blocks.
SMALL_SCANS = [
    *[
        Scan(batch=1, length=5, dim=3, given=g, softplus=s)
        for g in ((), *[(name,) for name in SCAN_OPTIONS], SCAN_OPTIONS)
        for s in (False, True)
    ],
    *[Scan(batch=1, length=3, dim=3, state=n) for n in (1, 2, 3, 16, 64)],
    *[Scan(batch=1, length=2, dim=d) for d in (1, 16, 33)],
    *[Scan(batch=1, dim=3, length=length) for length in (1, 4, 5, 8, 17)],
    Scan(batch=2, length=5),
]
SMALL_CONVS = [
    *[Conv(length=9, dim=3, given=g, activation=a) for g in subsets(CONV_OPTIONS) for a in (None, "silu")],
    *[Conv(width=w) for w in (1, 2, 3, 4, 7)],
    *[Conv(dim=d) for d in (1, 64, 120)],
    *[Conv(length=length, batch=1, given=g) for length in (1, 3, 130) for g in (CONV_OPTIONS, ("bias",))],
    Conv(batch=3),
]
SMALL_SSMS = [
    *[SSM(given=g) for g in ((), *[(name,) for name in SSM_OPTIONS])],
    *[SSM(width=w, length=3) for w in (1, 2, 3)],
    *[SSM(rank=r, length=3) for r in (1, 3)],
    *[SSM(state=n, length=2) for n in (1, 16)],
    *[SSM(dim=d, length=2, given=("z",)) for d in (1, 16, 33)],
    *[SSM(length=length) for length in (1, 4, 17)],
    SSM(batch=2, dim=18),
]


@contextmanager
def small_programs() -> Iterator[None]:
    """Programs of Triton so small that several share even a short sequence."""
    with pytest.MonkeyPatch.context() as patch:
        for name, size in {"CHUNK": 4, "PIECE": 2, "CARRIED": 2, "CONV_CHUNK": 64, "PROJECTED": 16}.items():
            patch.setattr(sizes, name, size)
        yield


def operator_arguments(case: Scan | Conv | SSM, module: str) -> tuple[object, ...]:
    """The arguments of the operator in ``ops/traced.py`` that calls this module, with gradients."""
    tensors = (None if x is None else x.requires_grad_() for x in case.tensors().values())
    return *tensors, *case.flags().values(), module


def as_float64(tensors: dict[str, Tensor | None]) -> dict[str, Tensor | None]:
    return {name: None if x is None else x.double() for name, x in tensors.items()}


def results(
    operation: Callable[..., Tensor | tuple[Tensor, Tensor]],
    tensors: dict[str, Tensor | None],
    flags: dict[str, object],
    state_in_loss: bool = True,
) -> dict[str, Tensor]:
    """The outputs of ``operation(**tensors, **flags)`` and the gradient of a fixed random sum of them.

    Keys: "y", "last_state" where there is one, and "d" + name for the gradient with respect to each tensor.
    """
    leaves = {name: x.detach().requires_grad_() for name, x in tensors.items() if x is not None}
    outputs = operation(**{**tensors, **leaves}, **flags)
    named = dict(
        zip(("y", "last_state"), outputs if isinstance(outputs, tuple) else (outputs,), strict=False)
    )
    loss = sum(_weighted(x) for name, x in named.items() if name == "y" or state_in_loss)
    gradients = torch.autograd.grad(loss, list(leaves.values()), materialize_grads=True)
    return {k: x.detach() for k, x in named.items()} | dict(
        zip([f"d{name}" for name in leaves], gradients, strict=True)
    )


def share_of_all_states_kept(backend: str, length: int) -> float:
    """The bytes that a scan of 64 states keeps for its backward pass, over those of all its states."""
    case = Scan(batch=1, length=length, dim=16, state=64)
    tensors = {name: x.requires_grad_() for name, x in case.tensors().items()}
    kept = {}

    def keep(x: Tensor) -> Tensor:
        kept[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        ops.selective_scan(**tensors, **case.flags(), backend=backend)
    return sum(kept.values()) / (4 * case.batch * case.length * case.dim * case.state)


def _weighted(x: Tensor) -> Tensor:
    weights = torch.randn(x.shape, generator=torch.Generator().manual_seed(2)).to(x)
    return (weights * x).sum()


def assert_close(actual: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float = 1e-5) -> None:
    """Every tensor agrees to ``tolerance`` times the largest magnitude of the expected one."""
    assert actual.keys() == expected.keys()
    for name, wanted in expected.items():
        found = actual[name].to(wanted)
        assert found.shape == wanted.shape, name
        assert found.isfinite().all(), f"{name} is not finite"
        if wanted.numel():
            error = (found - wanted).abs().max() / wanted.abs().max().clamp_min(1e-30)
            assert error < tolerance, f"{name}: relative error {error:.1e}"
