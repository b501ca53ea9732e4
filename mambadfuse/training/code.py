"""The code of a run: what determines its weights, besides its configuration and its pairs."""

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import torch

from mambadfuse import ops
from mambadfuse.components import imported_digests, is_component
from mambadfuse.losses import build_loss
from mambadfuse.models.checkpoints import build
from mambadfuse.source_code import KIT, code_digest, is_own, kit_digest, own_files
from mambadfuse.training.config import TrainingConfig

# What trains and what scores; everything they import takes part, too.
_ROOTS = ("training.step", "data.scenes", "fusion.pair", "metrics", "evaluation.fault_folders")


@dataclass(frozen=True)
class RunCode:
    """The code of a run. Two are equal if the same code ran, whatever the commit."""

    kit: str
    """Digest of those modules of the kit that train and score."""
    own: Mapping[str, str]
    """Digest of each module of your own that takes part."""
    classes: tuple[str, ...]
    """The classes of your own that the network, its loss and its configuration are made of."""
    commit: str = field(default="", compare=False)
    """The git commit of the kit, with "+" if files have changed since; empty outside a checkout."""

    def changes_from(self, before: "RunCode") -> str:
        """What has changed since, in words; empty if nothing has."""
        own = [name for name in {**before.own, **self.own} if before.own.get(name) != self.own.get(name)]
        classes = [f"class {name}" for name in sorted({*before.classes} ^ {*self.classes})]
        return ", ".join([*(["the kit"] if self.kit != before.kit else []), *own, *classes])

    def identity(self) -> list[Any]:
        """What distinguishes it from other code, as JSON types."""
        return [self.kit, dict(self.own), list(self.classes)]

    def to_dict(self) -> dict[str, Any]:
        """As JSON types."""
        return {"kit": self.kit, "own": dict(self.own), "classes": list(self.classes), "commit": self.commit}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "RunCode":
        """The inverse of :meth:`to_dict`; an empty mapping, from before there were digests, is unknown code."""
        known: dict[str, Any] = {"kit": "", "own": {}, "classes": (), **stored}
        return cls(**{**known, "classes": tuple(known["classes"])})


def code_of(config: TrainingConfig) -> RunCode:
    """The code that a run with this configuration runs now: that which has been imported.

    Every class of the network, the loss and the configuration counts, with all those it is derived from, and so does
    what their modules import. A method that was replaced in a running program goes unnoticed.

    >>> code_of(TrainingConfig.preset("ivf", "minutes")).classes
    ()

    Raises:
        ValueError: a component cannot be imported, or a class has no file, as one that was typed into a notebook.
    """
    with torch.device("meta"):
        network, loss = build(config.model), build_loss(config.loss)
    names = [*config.model.own_components().values(), *filter(is_component, [config.loss.criterion])]
    named = {name.partition(":")[0] for name in names if not name.startswith(f"{KIT}.")}
    parts = {type(part) for part in (*network.modules(), *loss.modules(), config, config.model, config.loss)}
    own = [c for part in parts for c in part.__mro__ if c.__module__ in named or is_own(c.__module__)]
    modules = named | {c.__module__ for c in own}
    files, imported = own_files(modules), imported_digests()
    if missing := modules - files.keys():
        raise ValueError(
            f"{min(missing)}: is a module without a file, so a run cannot tell its code from other code: "
            "write the classes to a file and import them"
        )
    return RunCode(
        kit=kit_code(),
        own={name: imported.get(name) or code_digest(file) for name, file in sorted(files.items())},
        classes=tuple(sorted({f"{c.__module__}:{c.__qualname__}" for c in own})),
        commit=_commit(),
    )


@cache
def kit_code() -> str:
    """The digest of those modules of the kit that train and score."""
    operations = Path(ops.__file__).parent  # its backends are imported by name
    parts = [file.relative_to(operations).with_suffix("").parts for file in operations.rglob("[!_]*.py")]
    return kit_digest([*(f"{KIT}.{name}" for name in _ROOTS), *(".".join((KIT, "ops", *p)) for p in parts)])


@cache
def _commit() -> str:
    folder = Path(ops.__file__).parents[2]
    if not (folder / ".git").exists():
        return ""
    command = ["git", "describe", "--always", "--abbrev=12", "--exclude=*", "--dirty=+"]
    try:
        return subprocess.run(command, cwd=folder, capture_output=True, check=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
