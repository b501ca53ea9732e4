"""``mambadfuse train``: weights from folders of pairs; stops and resumes at any step."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

SUMMARY = "train weights on folders of pairs; a run that was stopped goes on where it stood"
PRESETS = ("lite", "default", "published", "figure")
LOSSES = ("vif", "med")


def add_options(parser: ArgumentParser) -> None:
    """Declares the options."""
    parser.add_argument(
        "--pairs", type=Path, nargs=2, action="append", metavar="DIR", required=True,
        help="a folder of the infrared or MRI side and one of the other; may be given several times",
    )  # fmt: skip
    parser.add_argument(
        "--shares",
        type=float,
        nargs="+",
        metavar="X",
        help="how often each --pairs is drawn; alike if left out",
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE", required=True, help="weights to write, .safetensors"
    )
    parser.add_argument("--model", choices=PRESETS, default="lite", help="configuration of the network")
    parser.add_argument("--loss", choices=LOSSES, default="vif", help="published weights of the loss terms")
    parser.add_argument("--steps", type=int, default=10_000, help="length of the run")
    parser.add_argument("--batch", type=int, default=4, help="crops in a step")
    parser.add_argument("--seed", type=int, default=0, help="of weights and crops")


def run(options: Namespace) -> int:
    """Trains to the end; the state of the run lies beside ``--out``."""
    shares = options.shares or [1.0] * len(options.pairs)
    if len(shares) != len(options.pairs):
        options.usage_error(f"{len(shares)} --shares for {len(options.pairs)} --pairs")
    if options.out.suffix != ".safetensors":
        options.usage_error(f"--out {options.out}: expected the name of a .safetensors file")

    from mambadfuse.data.crops import load_grey_pairs
    from mambadfuse.losses import FusionLoss
    from mambadfuse.model import MambaDFuseConfig
    from mambadfuse.training import Trainer, TrainingConfig

    model = MambaDFuseConfig() if options.model == "default" else getattr(MambaDFuseConfig, options.model)()
    config = TrainingConfig(
        model=model,
        loss=getattr(FusionLoss, options.loss)(),
        steps=options.steps,
        batch=options.batch,
        seed=options.seed,
    )
    sets = [load_grey_pairs(*folders) for folders in options.pairs]
    print(f"{sum(map(len, sets))} pairs, {config.steps} steps of {config.batch} crops", flush=True)
    Trainer(config, sets, shares, options.out.with_suffix(".run")).run(options.out)
    print(f"wrote {options.out}")
    return 0
