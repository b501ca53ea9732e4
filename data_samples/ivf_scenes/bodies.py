"""The shapes of the scenes: people, cars, trees, grass. Shapes only; ``materials`` says what they are made of."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from ivf_scenes.geometry import Array, Capsule, Distance, capsule, normalised, vector


class Part(IntEnum):
    """The parts of a person and of a car."""

    SKIN, HAIR, COAT, TROUSERS, SHOES = range(5)
    PAINT, GLASS, TYRE, RIM, HEADLAMP, TAILLAMP, TRIM = range(5, 12)


@dataclass
class Body:
    """A solid, its bounding box, and the capsules that approximate it when it casts a shadow."""

    shape: Distance
    low: Array
    high: Array
    blockers: list[Capsule]


@dataclass
class Frame:
    """A place on the ground and a heading (radians; 0 looks away from the camera, clockwise from above)."""

    x: float
    z: float
    heading: float
    y: float = 0.0

    def local(self, points: Array) -> Array:
        """World to local coordinates, (n, 3): right, up, forward."""
        sin, cos = np.float32(np.sin(self.heading)), np.float32(np.cos(self.heading))
        x, z = points[..., 0] - np.float32(self.x), points[..., 2] - np.float32(self.z)
        return np.stack([cos * x - sin * z, points[..., 1] - np.float32(self.y), sin * x + cos * z], -1)

    def world(self, points: Array) -> Array:
        """Local to world coordinates, (n, 3)."""
        sin, cos = np.float32(np.sin(self.heading)), np.float32(np.cos(self.heading))
        x, z = points[..., 0], points[..., 2]
        return np.stack(
            [self.x + cos * x + sin * z, self.y + points[..., 1], self.z - sin * x + cos * z], -1
        ).astype(np.float32)

    def world_direction(self, directions: Array) -> Array:
        """Local to world directions, (n, 3)."""
        return self.world(directions) - vector(self.x, self.y, self.z)


def blend(a: Array, b: Array, width: float) -> Array:
    """Minimum of two distances with a rounded seam."""
    h = np.maximum(width - np.abs(a - b), 0) / width
    return np.minimum(a, b) - h * h * width / 4


def blend_all(capsules: list[Capsule], points: Array, width: float) -> Array:
    """Rounded union of capsules."""
    total = capsules[0].distance(points)
    for other in capsules[1:]:
        total = blend(total, other.distance(points), width)
    return total


def limb(
    root: Array, lengths: tuple[float, float], swing: float, bend: float, lift: float = 0.0
) -> tuple[Array, Array]:
    """Middle and end joint of a limb that hangs from ``root``.

    ``swing`` turns it forward and ``bend`` its lower half further; ``lift`` turns it sideways and up.
    """

    def step(length: float, forward: float, sideways: float) -> Array:
        out = np.sign(root[0]) * np.sin(sideways)
        return length * vector(out, -np.cos(sideways) * np.cos(forward), np.cos(sideways) * np.sin(forward))

    middle = root + step(lengths[0], swing, lift)
    return middle, middle + step(lengths[1], swing + bend, 1.25 * lift)


def person(frame: Frame, stride: float = 0.35, height: float = 1.75, raised: float = 0.0) -> Body:
    """A walking figure; ``stride`` is the swing of the leg in radians, ``raised`` lifts the left arm."""
    scale = height / 1.75
    hip, shoulder, neck = vector(0, 0.93, 0), vector(0, 1.43, 0), vector(0, 1.47, 0.01)
    head, crown = vector(0, 1.60, 0.025), vector(0, 1.655, 0.0)
    parts: dict[Part, list[Capsule]] = {part: [] for part in list(Part)[:5]}
    parts[Part.SKIN] += [
        capsule(neck, head, 0.055),
        capsule(head - vector(0, 0.035, 0), head + vector(0, 0.04, -0.01), 0.082, 0.095),
    ]
    parts[Part.HAIR] += [
        capsule(crown + vector(0, -0.03, -0.03), crown + vector(0, 0.0, -0.005), 0.092, 0.092)
    ]
    coat = parts[Part.COAT]
    coat += [
        capsule(hip - vector(0, 0.15, 0), vector(0, 1.10, 0), 0.195, 0.150),
        capsule(vector(0, 1.10, 0), vector(0, 1.31, 0), 0.150, 0.165),
    ]
    for side in (-1, 1):
        swing = side * stride
        knee, ankle = limb(
            vector(side * 0.09, 0.90, 0), (0.43, 0.42), swing, -0.25 - 0.35 * max(-side, 0) * stride
        )
        parts[Part.TROUSERS] += [
            capsule(vector(side * 0.09, 0.90, 0), knee, 0.098, 0.068),
            capsule(knee, ankle, 0.068, 0.052),
        ]
        parts[Part.SHOES] += [
            capsule(ankle + vector(0, -0.03, -0.03), ankle + vector(0, -0.045, 0.15), 0.052, 0.04)
        ]
        lift = raised if side < 0 else 0.0
        top = shoulder + vector(side * 0.175, -0.055, 0)
        elbow, wrist = limb(top, (0.29, 0.25), -0.8 * swing, 0.30, 0.08 + lift)
        coat += [
            capsule(shoulder + vector(side * 0.03, 0.01, 0), top, 0.062, 0.066),
            capsule(top, elbow, 0.064, 0.052),
            capsule(elbow, wrist, 0.052, 0.041),
        ]
        hand = wrist + 0.3 * (wrist - elbow)
        parts[Part.SKIN].append(capsule(wrist, hand, 0.033, 0.036))
    lowest = min(c.end[1] - c.end_radius for c in parts[Part.SHOES])
    flat = vector(1, 1, 1.3)  # a trunk is less deep than wide

    def shape(points: Array) -> tuple[Array, Array]:
        own = frame.local(points) / scale + vector(0, lowest, 0)
        trunk = np.maximum(blend_all(coat[:2], own * flat, 0.08), 0.78 - own[:, 1])
        distances = [
            blend_all(parts[Part.SKIN][:2], own, 0.02),
            blend_all(parts[Part.HAIR], own, 0.02),
            blend(trunk, blend_all(coat[2:], own, 0.03), 0.05),
            blend_all(parts[Part.TROUSERS], own, 0.03),
            blend_all(parts[Part.SHOES], own, 0.02),
        ]
        distances[0] = np.minimum(distances[0], blend_all(parts[Part.SKIN][2:], own, 0.01))
        stacked = np.stack(distances)
        return stacked.min(0) * scale, stacked.argmin(0).astype(np.float32)

    def placed(c: Capsule) -> Capsule:
        start, end = (frame.world(scale * (p - vector(0, lowest, 0))) for p in (c.start, c.end))
        return capsule(start, end, c.radius * scale, c.end_radius * scale)

    blockers = [placed(c) for group in parts.values() for c in group]
    reach = vector(0.75, 0, 0.75)
    place = vector(frame.x, frame.y, frame.z)
    return Body(shape, place - reach, place + reach + vector(0, height + 0.45 * (raised > 1), 0), blockers)


PROFILE = np.array(
    [
        [-2.05, 0.32],
        [-2.1, 0.62],
        [-1.98, 0.93],
        [-1.75, 1.0],
        [-1.22, 1.38],
        [-0.9, 1.46],
        [0.15, 1.46],
        [0.42, 1.4],
        [1.02, 0.98],
        [1.8, 0.86],
        [2.05, 0.68],
        [2.1, 0.45],
        [2.02, 0.3],
    ],
    np.float32,
)
WINDOW = np.array(
    [[-1.62, 0.99], [-1.17, 1.34], [-0.88, 1.40], [0.12, 1.40], [0.36, 1.35], [0.93, 0.99]], np.float32
)
AXLES = (-1.28, 1.30)


def polygon(corners: Array, u: Array, v: Array) -> Array:
    """Signed distance (n,) to a closed polygon (k, 2), negative inside."""
    nearest = np.full(u.shape, np.inf, np.float32)
    sign = np.ones(u.shape, np.float32)
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, 0), strict=True):
        along = np.clip(
            ((u - x0) * (x1 - x0) + (v - y0) * (y1 - y0)) / ((x1 - x0) ** 2 + (y1 - y0) ** 2), 0, 1
        )
        nearest = np.minimum(nearest, (u - x0 - along * (x1 - x0)) ** 2 + (v - y0 - along * (y1 - y0)) ** 2)
        crossed = ((y0 <= v) != (y1 <= v)) & ((u - x0) < (v - y0) * (x1 - x0) / (y1 - y0 if y1 != y0 else 1))
        sign = np.where(crossed, -sign, sign)
    return sign * np.sqrt(nearest)


def car(frame: Frame) -> Body:
    """A saloon car 4.2 m long: a side profile extruded to its width, narrower towards the roof and the ends."""

    def shape(points: Array) -> tuple[Array, Array]:
        own = frame.local(points)
        across, up, along = np.abs(own[:, 0]), own[:, 1], own[:, 2]
        half_width = (
            0.84
            - 0.34 * np.clip(up - 0.88, 0, 1)
            - 0.05 * np.clip(np.abs(along) - 1.5, 0, 1)
            - 0.12 * np.clip(0.5 - up, 0, 1)
        )
        profile = polygon(PROFILE, along, up)
        hull = np.maximum(profile + 0.07, across - half_width + 0.07)
        outside = np.sqrt(np.maximum(profile + 0.07, 0) ** 2 + np.maximum(across - half_width + 0.07, 0) ** 2)
        hull = np.minimum(hull, 0) + outside - 0.07
        wheel = np.full(len(own), np.inf, np.float32)
        rim = np.zeros(len(own), bool)
        for axle in AXLES:
            from_axle = np.sqrt((along - axle) ** 2 + (up - 0.32) ** 2)
            hull = np.maximum(hull, np.minimum(0.38 - from_axle, 1) - np.maximum(0.6 - across, 0))
            wheel = np.minimum(wheel, np.maximum(from_axle - 0.32, np.abs(across - 0.72) - 0.1))
            rim |= from_axle < 0.21
        part = np.full(len(own), Part.PAINT, np.float32)
        side_glass = (polygon(WINDOW, along, up) < 0) & (np.abs(along + 0.28) > 0.05)
        screen = (up > 1.01) & (up < 1.39) & (across < half_width - 0.1) & ((along > 0.4) | (along < -1.0))
        part[side_glass & (across > half_width - 0.09) | screen] = Part.GLASS
        part[(up < 0.36) | (np.abs(up - 0.62) < 0.012) & (across > half_width - 0.08)] = Part.TRIM
        part[(along > 1.85) & (np.abs(up - 0.7) < 0.075) & (across > 0.42)] = Part.HEADLAMP
        part[(along < -1.93) & (np.abs(up - 0.8) < 0.085) & (across > 0.45)] = Part.TAILLAMP
        part[(np.abs(along) > 1.95) & (np.abs(up - 0.5) < 0.06) & (across < 0.26)] = Part.RIM
        part = np.where(wheel < hull, np.where(rim, Part.RIM, Part.TYRE), part).astype(np.float32)
        return np.minimum(hull, wheel), part

    corners = frame.world(np.array([[x, 0, z] for x in (-0.95, 0.95) for z in (-2.2, 2.2)], np.float32))
    fat = [
        ((-0.45, 0.5, -1.7), (-0.45, 0.5, 1.7)),
        ((0.45, 0.5, -1.7), (0.45, 0.5, 1.7)),
        ((-0.3, 1.0, -0.9), (-0.3, 1.0, 0.2)),
        ((0.3, 1.0, -0.9), (0.3, 1.0, 0.2)),
    ]
    blockers = [capsule(frame.world(vector(*a)), frame.world(vector(*b)), 0.4) for a, b in fat]
    return Body(shape, corners.min(0), corners.max(0) + vector(0, 1.5, 0), blockers)


def foliage(centres: Array, radii: Array, leaves: int, size: float, seed: int) -> tuple[Array, Array, Array]:
    """Leaves scattered in balls: points (n, 3), normals (n, 3), and their openness to the sky (n,) in 0..1."""
    rng = np.random.default_rng(seed)
    ball = rng.integers(0, len(centres), leaves)
    outward = normalised(rng.standard_normal((leaves, 3)).astype(np.float32))
    depth = rng.random(leaves).astype(np.float32) ** 0.45
    middle = centres[ball] + outward * (radii[ball] * depth)[:, None]
    normal = normalised(
        outward + vector(0, 0.7, 0) + 0.9 * rng.standard_normal((leaves, 3)).astype(np.float32)
    )
    long = normalised(np.cross(normal, rng.standard_normal((leaves, 3)))).astype(np.float32)
    wide = np.cross(normal, long)
    dots = 40
    radius, angle = np.sqrt(rng.random((leaves, dots, 1))), 2 * np.pi * rng.random((leaves, dots, 1))
    blade = middle[:, None] + size * radius * (
        np.cos(angle) * long[:, None] + 0.45 * np.sin(angle) * wide[:, None]
    )
    lowest, highest = (centres[:, 1] - radii).min(), (centres[:, 1] + radii).max()
    openness = np.clip(0.25 + 0.45 * depth + 0.4 * (middle[:, 1] - lowest) / (highest - lowest), 0, 1)
    openness *= rng.uniform(0.75, 1.25, leaves)
    return (
        blade.reshape(-1, 3).astype(np.float32),
        np.repeat(normal, dots, 0),
        np.repeat(openness.astype(np.float32), dots),
    )


def grass(roots: Array, length: float, dots: tuple[int, int], seed: int) -> tuple[Array, Array, Array]:
    """Blades of grass from ``roots`` (n, 3): points, normals, and the shade of each blade in 0..1.

    ``dots`` is the number of points across and along a blade.
    """
    rng = np.random.default_rng(seed)
    blades = len(roots)
    lean = rng.normal(0, 0.35, (blades, 1, 1, 3)) * vector(1, 0, 1) + vector(0, 1, 0)
    tall = length * rng.uniform(0.4, 1, (blades, 1, 1, 1))
    along = np.linspace(0, 1, dots[1])[:, None]
    across = 0.004 * (np.arange(dots[0]) - (dots[0] - 1) / 2)[:, None, None] * (1 - along)
    points = roots[:, None, None] + along * tall * normalised(lean) + across * vector(1, 0, 0)
    normal = normalised(vector(0, 1.2, 0) + rng.standard_normal((blades, 3)))
    shade = (0.3 + 0.7 * along[:, 0]) * rng.uniform(0.6, 1.2, (blades, 1, 1))
    each = dots[0] * dots[1]
    return (
        points.reshape(-1, 3).astype(np.float32),
        np.repeat(normal, each, 0).astype(np.float32),
        np.broadcast_to(shade, (blades, *dots)).ravel().astype(np.float32),
    )
