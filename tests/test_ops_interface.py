"""What both operations ask of their arguments, and how a backend is chosen, refused and announced."""

import logging
from functools import partial

import pytest
import torch
from ops_cases import SSM, Conv, Scan, as_float64, assert_close, results

from mambadfuse import ops
from mambadfuse.ops import interface


@pytest.mark.parametrize("name", ["delta", "A", "B", "C", "D", "z", "delta_bias", "initial_state"])
def test_a_wrong_shape_in_the_scan_names_the_argument(name: str):
    tensors = Scan().tensors()
    tensors[name] = torch.zeros(*tensors[name].shape[:-1], 99)
    with pytest.raises(ValueError, match=r"must have shape .*found") as error:
        ops.selective_scan(**tensors)
    # the number of states is read off A, so a wrong one shows first at the argument that disagrees with it
    assert str(error.value).startswith("B " if name == "A" else f"{name} ")


@pytest.mark.parametrize("name", ["weight", "bias", "initial_state"])
def test_a_wrong_shape_in_the_conv_names_the_argument(name: str):
    tensors = Conv().tensors()
    tensors[name] = torch.zeros(99, *tensors[name].shape[1:])
    with pytest.raises(ValueError, match=f"^{name} must have shape .*found"):
        ops.causal_conv1d(**tensors)


@pytest.mark.parametrize("name", [name for name in SSM().tensors() if name != "x"])
def test_a_wrong_shape_in_the_ssm_names_the_argument(name: str):
    tensors = SSM().tensors()
    tensors[name] = torch.zeros(*tensors[name].shape[:-1], 99)
    with pytest.raises(ValueError, match=r"must have shape .*found") as error:
        ops.selective_ssm(**tensors)
    # widths, ranks and states are read off these: a wrong one shows first at the argument that disagrees
    first = {"conv": "conv_state", "dt_proj": "x_proj", "A": "x_proj"}.get(name, name)
    assert str(error.value).startswith(f"{first} ")


@pytest.mark.parametrize("name", SSM().tensors())
def test_an_ssm_takes_tensors_of_floating_point_numbers_alone(name: str):
    tensors = SSM().tensors()
    with pytest.raises(TypeError, match=f"^{name} must hold floating-point numbers, found torch.int32"):
        ops.selective_ssm(**tensors | {name: tensors[name].int()})
    with pytest.raises(TypeError, match=f"^{name} must be a tensor, found list"):
        ops.selective_ssm(**tensors | {name: [1.0]})


@pytest.mark.parametrize("name", ["conv", "dt_proj", "A"])
def test_the_matrices_of_an_ssm_have_columns(name: str):
    tensors = SSM().tensors()
    with pytest.raises(ValueError, match=rf"^{name} must have shape \(D, (.)\) with \1 >= 1, found \(3, 0\)"):
        ops.selective_ssm(**tensors | {name: torch.zeros(3, 0)})


@pytest.mark.parametrize("shape", [(2, 0, 3), (2, 3), (2, 3, 4, 5)])
def test_the_first_argument_must_hold_tokens(shape: tuple[int, ...]):
    x, one = torch.zeros(shape), torch.zeros(1, 1)
    with pytest.raises(ValueError, match=r"^u must have shape \(B, L, D\)"):
        ops.selective_scan(x, x, one, one, one)
    with pytest.raises(ValueError, match=r"^x must have shape \(B, L, D\)"):
        ops.causal_conv1d(x, one)
    with pytest.raises(ValueError, match=r"^x must have shape \(B, L, D\)"):
        ops.selective_ssm(x, one, one, one, one, one, one, one)


@pytest.mark.parametrize("name", ["u", "delta", "A", "B", "C", "D", "z", "delta_bias", "initial_state"])
def test_integers_are_refused(name: str):
    tensors = Scan().tensors()
    tensors[name] = tensors[name].int()
    with pytest.raises(TypeError, match=f"^{name} must hold floating-point numbers, found torch.int32"):
        ops.selective_scan(**tensors)


def test_what_is_no_tensor_is_refused():
    tensors = Scan().tensors()
    with pytest.raises(TypeError, match=r"^z must be a tensor, found list"):
        ops.selective_scan(**{**tensors, "z": [1.0]})
    with pytest.raises(TypeError, match=r"^u must be a tensor, found list"):
        ops.selective_scan(**{**tensors, "u": [1.0]})
    with pytest.raises(TypeError, match=r"^x must be a tensor, found list"):
        ops.causal_conv1d([1.0], torch.zeros(1, 1))
    for name in ("u", "delta", "A", "B", "C"):
        with pytest.raises(TypeError, match=f"^{name} must be a tensor, found NoneType"):
            ops.selective_scan(**{**tensors, name: None})
    with pytest.raises(TypeError, match=r"^weight must be a tensor, found NoneType"):
        ops.causal_conv1d(torch.zeros(1, 1, 1), None)


def test_an_unknown_activation_is_refused():
    with pytest.raises(ValueError, match="activation must be None, 'silu' or 'swish', found 'relu'"):
        ops.causal_conv1d(torch.zeros(1, 2, 3), torch.zeros(3, 4), activation="relu")


def test_an_unknown_backend_is_refused():
    with pytest.raises(
        ValueError, match="unknown backend 'tpu': choose one of reference, torch, numba, triton, cuda"
    ):
        ops.selective_scan(**Scan().tensors(), backend="tpu")


def test_backends_say_what_is_usable_or_why_not():
    found = ops.backends()
    assert set(found) == {"reference", "torch", "numba", "triton", "cuda"}
    assert all(name == backend.name for name, backend in found.items())
    assert found["reference"].usable
    assert found["torch"].usable
    for backend in found.values():
        assert backend.usable == (not backend.reason) == (not backend.remedy)


@pytest.mark.skipif(ops.backends()["cuda"].usable, reason="here the CUDA kernels can be used")
def test_an_unusable_backend_says_why_and_what_to_do():
    cuda = ops.backends()["cuda"]
    for call in (
        lambda: ops.selective_scan(**Scan().tensors(), backend="cuda"),
        lambda: ops.causal_conv1d(**Conv().tensors(), backend="cuda"),
    ):
        with pytest.raises(RuntimeError, match="backend 'cuda' is not usable here") as error:
            call()
        assert cuda.reason in str(error.value)
        assert cuda.remedy in str(error.value)


def test_numba_refuses_float64_and_names_another_backend():
    with pytest.raises(RuntimeError, match=r"float32, found torch.float64.*'torch'"):
        ops.selective_scan(**as_float64(Scan().tensors()), backend="numba")


def test_auto_logs_its_choice_once(caplog: pytest.LogCaptureFixture):
    interface._announce.cache_clear()
    with caplog.at_level(logging.INFO, "mambadfuse"):
        for _ in range(3):
            ops.selective_scan(**Scan().tensors())
            ops.causal_conv1d(**Conv().tensors())
    (record,) = [r for r in caplog.records if "auto" in r.getMessage()]
    assert "cpu" in record.getMessage()


def test_auto_takes_float64_too():
    case = Scan()
    found = results(
        partial(ops.selective_scan, return_last_state=True), as_float64(case.tensors()), case.flags()
    )
    assert_close(found, case.expected(), 1e-12)


def test_auto_follows_use_backend():
    tensors = Scan().tensors()
    with ops.use_backend("reference"):
        inside = ops.selective_scan(**tensors)
    assert torch.equal(inside, ops.selective_scan(**tensors, backend="reference"))
    with pytest.raises(ValueError, match="unknown backend 'tpu'"), ops.use_backend("tpu"):
        pass
