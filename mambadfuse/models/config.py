"""The configurations of the networks: a Mamba unit, every switch of MambaDFuse, and the fast network.

Letters: C model width, E inner width, N state size, R rank of the step-size projection, W width of the convolution.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Self, get_args

from mambadfuse.components import FIELDS, is_component

_OF_THE_KIT = {
    "mixer": ("scan", "bidirectional", "convolution"),
    "scan_order": ("raster", "alternating"),
    "fusion_block": ("m3",),
}


@dataclass(frozen=True)
class MambaConfig:
    """The sizes of a Mamba unit, and what mixes its tokens.

    Raises:
        ValueError: a value outside the allowed ones; the message names the field.
        TypeError: an unknown field name.
    """

    dim: int = 60
    """Model width C."""
    state: int = 16
    """State size N of every scan."""
    conv_width: int = 4
    """Width W of the causal convolution before every scan."""
    expand: int = 2
    """Inner width E of a Mamba unit in multiples of C."""
    mixer: str = "scan"
    """What mixes the tokens of every Mamba unit and M3 block: one "scan" (code and figure); "bidirectional", the mean
    of two scans with shared weights, one of them reversed; "convolution", a gated 7x7 depthwise one, which makes the
    network a CNN; or a class of your own, "module:Class" (:mod:`mambadfuse.components`)."""
    scan_order: str = "raster"
    """In "raster" order every block scans the map row by row (code and figure); "alternating", the direction turns from
    block to block: right, left, down, up; or an order of your own, "module:function". Nothing changes for the mixer
    "convolution" or one of your own that is not causal, which read in no order."""

    def __post_init__(self) -> None:
        """Refuse values that no network can be built from."""
        for field in fields(self):
            value, allowed = getattr(self, field.name), get_args(field.type)
            if field.name in _OF_THE_KIT and value not in _OF_THE_KIT[field.name] and not is_component(value):
                raise ValueError(
                    f"{field.name} must be one of {_OF_THE_KIT[field.name]}, found {value!r}; "
                    "a component of your own has a name such as my_module:MyClass"
                )
            if allowed and (value not in allowed or type(value) not in map(type, allowed)):
                raise ValueError(f"{field.name} must be one of {allowed}, found {value!r}")
            if field.type is int and (not isinstance(value, int) or isinstance(value, bool)):
                raise ValueError(f"{field.name} must be a whole number, found {value!r}")
            if field.type is bool and not isinstance(value, bool):
                raise ValueError(f"{field.name} must be True or False, found {value!r}")
            least = 0 if field.name.endswith(("depth", "period")) else 1
            if field.type is int and value < least:
                raise ValueError(f"{field.name} must be at least {least}, found {value}")

    @property
    def inner(self) -> int:
        """Inner width E."""
        return self.expand * self.dim

    @property
    def rank(self) -> int:
        """Rank R of the step-size projection, as in Mamba: C / 16, rounded up."""
        return math.ceil(self.dim / 16)

    def own_components(self) -> dict[str, str]:
        """The components that are not the kit's own, by field.

        >>> MambaConfig(mixer="attention:RowAttention").own_components()
        {'mixer': 'attention:RowAttention'}
        """
        settings = asdict(self)
        return {field: settings[field] for field in FIELDS if is_component(settings.get(field))}


@dataclass(frozen=True)
class MambaDFuseConfig(MambaConfig):
    """Sizes of the network, and one named field for each point on which the published code and figures differ.

    Every field can be set on its own; three presets set them all: :meth:`published`, :meth:`figure` and
    :meth:`lite`. The default is the published network with the running sums of its stages added at their ends.

    >>> MambaDFuseConfig.published().stage_residual
    'dropped'

    Raises:
        ValueError: a value outside the allowed ones, or a ``dim`` that is no multiple of 4; the message names the
            field.
        TypeError: an unknown field name.
    """

    extraction_depth: int = 8
    """Mamba blocks per modality in the high-level extraction."""
    exchange_depth: int = 2
    """Channel-exchange blocks."""
    deep_depth: int = 5
    """M3 blocks, or those of ``fusion_block``."""
    fusion_block: str = "m3"
    """What deep fusion is made of: the M3 block "m3", or a class of your own, "module:Class"."""
    reconstruction_depth: int = 8
    """Mamba blocks in the reconstruction."""

    exchange_period: int = 2
    """p: every p-th channel is exchanged; 0 exchanges none."""
    exchange_residual: bool = True
    """Residual sum and norm before each exchange (code), or neither (figure)."""
    shallow_conv_inputs: Literal["both", "own"] = "both"
    """The convolution after the exchange reads both modalities (code) or only its own (figure)."""
    shallow_order: Literal["sequential", "parallel"] = "sequential"
    """The second modality sees the updated first one (code), or both see the old ones (figure)."""
    deep_norm: bool = True
    """The shared token norm also in front of the deep phase (code; not drawn in the figure)."""
    gate: Literal["own", "shared"] = "own"
    """M3: a gate per branch (code), or the fused branch's gate for all three (figure)."""
    norm_passes: Literal[1, 2] = 2
    """M3: each norm applied twice with the same parameters (code) or once (figure)."""
    state_matrix: Literal["shared", "own"] = "shared"
    """M3: the branches of the two modalities share A (code) or each has its own (figure)."""
    deep_conv: bool = True
    """M3: depthwise 3x3 convolution with skip at the end (code; not in the figure)."""
    guide_dt_init: Literal["uniform", "mamba"] = "uniform"
    """M3: initial step sizes of the modalities' branches: near 0.7 (code) or Mamba's 0.001 to 0.1."""
    stage_residual: Literal["dropped", "added"] = "added"
    """Running sum after the last block of exchange, deep fusion and reconstruction: dropped (code) or added."""

    def __post_init__(self) -> None:
        """Refuse values that no network can be built from."""
        super().__post_init__()
        if self.dim % 4:
            raise ValueError(f"dim must be a multiple of 4, found {self.dim}")

    @classmethod
    def published(cls) -> Self:
        """The network that the authors' code computes, 1,347,271 parameters."""
        return cls(stage_residual="dropped")

    @classmethod
    def figure(cls) -> Self:
        """The network that the paper's figures draw."""
        return cls(
            exchange_residual=False,
            shallow_conv_inputs="own",
            shallow_order="parallel",
            deep_norm=False,
            gate="shared",
            norm_passes=1,
            state_matrix="own",
            deep_conv=False,
            guide_dt_init="mamba",
        )

    @classmethod
    def lite(cls) -> Self:
        """The default arithmetic at a size for lessons: C = 32, depths 3, 2, 2, 3."""
        return cls(dim=32, extraction_depth=3, exchange_depth=2, deep_depth=2, reconstruction_depth=3)

    def to_dict(self) -> dict[str, Any]:
        """All fields by name, as written into a weights file."""
        return asdict(self)


@dataclass(frozen=True)
class FastFusionConfig:
    """The sizes of a :class:`~mambadfuse.models.fast.FastFusion`.

    >>> FastFusionConfig.tiny().depth
    2

    Raises:
        ValueError: a size is below 1; the message names it.
    """

    dim: int = 24
    """Width C."""
    depth: int = 4
    """Residual blocks of two convolutions."""
    patch: int = 2
    """Side p of the square of pixels that make one token."""

    def __post_init__(self) -> None:
        """Refuse sizes that no network can be built from."""
        for name, value in asdict(self).items():
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"{name} must be a whole number of at least 1, found {value!r}")

    @classmethod
    def fast(cls) -> Self:
        """C = 24, four blocks: about a tenth of a second for 640 x 480 on one core."""
        return cls()

    @classmethod
    def tiny(cls) -> Self:
        """C = 16, two blocks: about 30 pairs of 640 x 480 a second on one core."""
        return cls(dim=16, depth=2)

    def own_components(self) -> dict[str, str]:
        """The components that are not the kit's own: none."""
        return {}

    def to_dict(self) -> dict[str, Any]:
        """All fields by name and the class of the network, as written into a weights file."""
        return {"network": "FastFusion", **asdict(self)}


NetworkConfig = MambaDFuseConfig | FastFusionConfig
_KINDS: dict[str, type[NetworkConfig]] = {"MambaDFuse": MambaDFuseConfig, "FastFusion": FastFusionConfig}


def network_config(settings: Mapping[str, Any]) -> NetworkConfig:
    """The configuration with these settings, the inverse of ``to_dict``.

    >>> network_config({"network": "FastFusion", "dim": 8}).depth
    4

    Args:
        settings: fields by name, and "network", the class of the network: "MambaDFuse", also if it is missing, or
            "FastFusion".

    Raises:
        ValueError: there is no such network, or a value is not allowed.
        TypeError: an unknown field name.
    """
    fields = dict(settings)
    kind = fields.pop("network", "MambaDFuse")
    if kind not in _KINDS:
        raise ValueError(f"network must be one of {', '.join(_KINDS)}, found {kind!r}")
    return _KINDS[kind](**fields)
