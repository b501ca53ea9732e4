"""How much fused videos flicker: ``python -m benchmarks.moving_camera --a DIR --b DIR --model ivf-fast``.

A camera looks at each pair of a folder and moves to the right, by 0 to 3 pixels a frame (the columns); both sides have
noise of their own in every frame. Flicker is measured along the motion, on the part that all three frames show, and
compared with that of the noisier source: as a video (``FastFusion.for_video``) and image by image. The table has means
over the pairs; "above" counts the pairs that flicker more than their sources, at the motion where most of them do.
"""

import argparse
from pathlib import Path

import numpy as np

import mambadfuse as mdf
from mambadfuse.data.discovery import find_pairs
from mambadfuse.data.limited_range import read_luma
from mambadfuse.evaluation.flicker import flicker
from mambadfuse.models.fast import FastFusion

FRAMES, MOVES, NOISES = 3, (0, 1, 2, 3), (4, 2, 1)

Frames = list[np.ndarray]  # (H, W) each, uint8
Networks = dict[str, FastFusion]


def film(image: np.ndarray, move: int, noise: float, dice: np.random.Generator) -> Frames:
    """What a camera sees of an image that moves to the right by some pixels a frame."""
    path = max(MOVES) * (FRAMES - 1)
    width = image.shape[1] - path
    if width <= path:
        raise ValueError(f"a camera needs images of more than {2 * path} columns, found {image.shape[1]}")
    views = [image[:, move * t :][:, :width] for t in range(FRAMES)]
    noisy = [np.rint(view + dice.normal(0, noise, view.shape)) for view in views]
    return [view.clip(0, 255).astype(np.uint8) for view in noisy]


def followed(frames: Frames, move: int) -> Frames:
    """What all frames show, always at the same place."""
    last, width = move * (FRAMES - 1), frames[0].shape[1]
    return [frame[:, last - move * t :][:, : width - last] for t, frame in enumerate(frames)]


def measure(
    a: np.ndarray,
    b: np.ndarray,
    noise: float,
    networks: Networks,
    contrast: float | None = None,
    seed: int = 0,
) -> dict[str, list[float]]:
    """The flicker of the noisier source and of each way of fusing, for every motion."""
    found: dict[str, list[float]] = {name: [] for name in ("sources", *networks)}
    for move in MOVES:
        dice = np.random.default_rng(seed)
        sides = [film(side, move, noise, dice) for side in (a, b)]
        found["sources"].append(max(flicker(followed(side, move)) for side in sides))
        for name, network in networks.items():
            fused = [
                np.asarray(mdf.fuse(x, y, network, contrast=contrast)) for x, y in zip(*sides, strict=True)
            ]
            found[name].append(flicker(followed(fused, move)))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--a", type=Path, required=True, help="infrared images")
    parser.add_argument("--b", type=Path, required=True, help="visible images, paired by name")
    parser.add_argument("--model", default="ivf-fast", help="a fast network, by name or file (%(default)s)")
    parser.add_argument("--contrast", type=float, help="by default that of the weights")
    options = parser.parse_args()
    network = mdf.load(options.model).eval()
    if not isinstance(network, FastFusion):
        parser.error(f"--model {options.model}: expected a fast network, found {type(network).__name__}")
    networks = {"as video": network.for_video(), "image by image": network}
    images = [(read_luma(pair.a), read_luma(pair.b)) for pair in find_pairs(options.a, options.b).pairs]
    motions = " | ".join(map(str, MOVES))
    print(
        f"{len(images)} pairs\n\n| noise | way of fusing | {motions} | above |\n|---|---|{'---|' * len(MOVES)}---|"
    )
    for noise in NOISES:
        runs = [measure(a, b, noise, networks, options.contrast, seed) for seed, (a, b) in enumerate(images)]
        sources = np.array([run["sources"] for run in runs])  # (pairs, motions)
        for name in runs[0]:
            values = np.array([run[name] for run in runs])
            cells = " | ".join(f"{mean:.2f}" for mean in values.mean(axis=0))
            above = "" if name == "sources" else (values > sources).sum(axis=0).max()
            print(f"| {noise} | {name} | {cells} | {above} |", flush=True)


if __name__ == "__main__":
    main()
