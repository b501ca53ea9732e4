"""The results of an ablation as TensorBoard reads them: one run for each row and seed, with its hyperparameters."""

import math
import os
import shutil
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from mambadfuse.ablation.store import Result
from mambadfuse.files import make_folder


def write_tensorboard(results: Iterable[Result], folder: str | Path) -> None:
    """Write every result as a run: the settings that differ, its mean scores and its loss curve.

    ``tensorboard --logdir FOLDER`` shows them; the tab HPARAMS compares rows. The folder appears when it is complete.

    Args:
        results: of one ablation.
        folder: to write, which must not exist.

    Raises:
        ImportError: tensorboardX is not installed.
        ValueError: there is something at ``folder``.
    """
    folder = Path(folder)
    require_new(folder)
    from tensorboardX import SummaryWriter

    make_folder(folder.parent)
    results = list(results)
    varied = _varied(results)
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    for result in results:
        name = f"{result.row}-{result.seed}"
        with SummaryWriter(str(part / name), filename_suffix=".loss") as writer:  # two files, two names
            for step, loss in result.curve:
                writer.add_scalar("loss", loss, int(step))
        settings = {"row": result.row} | {setting: _plain(result.config.get(setting)) for setting in varied}
        scores = {f"{result.split}/{m}": x for m, x in result.means.items() if math.isfinite(x)}
        with SummaryWriter(str(part)) as writer:
            writer.add_hparams(settings, scores, name)
    os.replace(part, folder)


def require_new(folder: Path) -> None:
    """Refuses what :func:`write_tensorboard` could not write.

    Raises:
        ImportError: tensorboardX is not installed.
        ValueError: there is something at ``folder``.
    """
    if not find_spec("tensorboardX"):
        raise ImportError('tensorboardX is not installed: pip install -e ".[tensorboard]"')
    if folder.exists():
        raise ValueError(f"{folder}: exists already; give a folder that does not")


def _varied(results: list[Result]) -> list[str]:
    """The settings that differ between results, the seed among them."""
    names = dict.fromkeys(name for result in results for name in result.config)
    return [name for name in names if len({str(result.config.get(name)) for result in results}) > 1]


def _plain(value: object) -> bool | int | float | str:
    return value if isinstance(value, bool | int | float | str) else str(value)
