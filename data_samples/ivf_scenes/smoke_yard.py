"""Scene 2, a yard by day: smoke hides two people in visible light; the infrared camera sees through it."""

import numpy as np

from ivf_scenes.bodies import Body, Frame, car, foliage, grass, person
from ivf_scenes.geometry import Array, Camera, capsule, normalised, vector
from ivf_scenes.light import Light, Scene, ball
from ivf_scenes.materials import Clothes, bark, brickwork, dressed, enamel, leaves, plain, rough, saloon
from ivf_scenes.smoke import smoke
from ivf_scenes.stage import Material, Matter, Patch, Stage
from ivf_scenes.textures import Noise, boards, inside, lettering, mix, smoothstep

AIR = 284.0
WALL = 27.0  # z of the depot's front
GATE = (-3.4, 0.0, 0.4, 3.6)
WINDOWS = [(-9.2, 1.5, -7.4, 3.2), (-6.6, 1.5, -4.8, 3.2), (3.6, 1.5, 5.4, 3.2), (6.4, 1.5, 8.2, 3.2)]
LETTERS = (-4.4, 4.1, 1.4, 5.0)
DRUM = vector(-1.25, 0.0, 12.2)
SUN = normalised(vector(-0.72, 0.62, -0.42))
SUNLIGHT, SKYLIGHT = vector(1.05, 0.95, 0.80), vector(0.26, 0.32, 0.42)


def path_share(points: Array, noise: Noise) -> Array:
    """The fraction of gravel in the ground: a track that winds to the gate."""
    x, _, z = points.T
    centre = -0.4 + 1.1 * np.sin((z - 4) * 0.16) - 0.05 * (z - 12)
    edge = np.abs(x - centre) - 1.25 + 0.45 * noise.fractal(points * 0.8, 3)
    return smoothstep(0.25, -0.25, edge)


def meadow(noise: Noise) -> Material:
    """Short grass with bare patches, and a gravel track."""

    def material(patch: Patch) -> Matter:
        n, fine = len(patch.part), patch.footprint
        tuft = noise.fractal(patch.points * 9, 4, fine * 9)
        broad = noise.fractal(patch.points * 0.45 + 7, 4)
        green = plain(n, (0.115, 0.16, 0.05)) * (1 + 0.7 * tuft)[:, None]
        green = mix(green, vector(0.23, 0.20, 0.10), smoothstep(0.0, 0.8, broad + 0.4 * tuft) * 0.75)
        stones = noise.fractal(patch.points * 34, 3, fine * 34)
        chips = np.abs(noise.fractal(patch.points * 23 + 40, 2, fine * 23))
        pebbles = smoothstep(0.25, 0.55, noise(patch.points * 12 + 3)) * np.clip(1.5 - fine * 24, 0, 1)
        shade = 0.78 + 0.5 * stones + 0.5 * chips + 0.12 * broad + 0.5 * pebbles
        gravel = plain(n, (0.36, 0.325, 0.275)) * shade[:, None]
        track = path_share(patch.points, noise)
        kelvin = AIR - 0.5 + 0.8 * broad + 0.5 * tuft + 2.2 * track
        return Matter(
            np.maximum(mix(green, gravel, track), 0.01), kelvin, 0.96, normal=rough(patch, noise, 0.12, 0.25)
        )

    return material


def depot(noise: Noise) -> Material:
    """A brick depot with a rolling gate, glass and painted lettering."""

    def material(patch: Patch) -> Matter:
        x, y, z = patch.points.T
        front = patch.normal[:, 2] < -0.5
        u = np.where(front, x, z)
        albedo, _ = brickwork(patch, u, y, noise)
        albedo = mix(albedo * vector(1.25, 1.2, 1.1), vector(0.25, 0.22, 0.18), 0.3 * smoothstep(0.9, 0.0, y))
        soft = np.maximum(patch.footprint, 0.01)
        kelvin = AIR + 1.0 + 0.5 * noise.fractal(np.stack([u, y, 0 * u], 1) * 0.35, 3)
        emissivity, gloss = np.full(len(x), 0.93, np.float32), np.zeros(len(x), np.float32)
        worn = smoothstep(-0.9, -0.1, noise.fractal(patch.points * 3.5, 3))
        ink = lettering("DEPOT  7", x, y, LETTERS) * front * worn
        albedo = mix(albedo, vector(0.72, 0.70, 0.64), 0.9 * ink)
        pilaster = front * (inside(u % 4.6, y, (0, 0, 0.45, 9), soft))
        albedo *= (1 + 0.18 * pilaster)[:, None]
        gate = inside(x, y, GATE, soft) * front
        slat = 0.5 + 0.5 * np.sin(y * 2 * np.pi / 0.12) * np.clip(1.5 - soft * 20, 0, 1)
        albedo = mix(albedo, vector(0.16, 0.26, 0.30), gate) * (1 - 0.35 * gate * slat)[:, None]
        kelvin = kelvin + gate * (AIR + 3.0 - kelvin)
        for rectangle in WINDOWS:
            left, bottom, right, top = rectangle
            opening = inside(x, y, rectangle, soft) * front
            pane = opening * inside((x - left) % 0.45, (y - bottom) % 0.57, (0.03, 0.03, 0.42, 0.54), soft)
            albedo = mix(mix(albedo, vector(0.55, 0.55, 0.52), opening), vector(0.05, 0.065, 0.08), pane)
            kelvin = kelvin + pane * (AIR + 4.5 - kelvin)
            emissivity -= 0.08 * pane
            gloss = np.maximum(gloss, 0.25 * pane)
            lintel = inside(x, y, (left - 0.15, top, right + 0.15, top + 0.25), soft) * front
            sill = inside(x, y, (left - 0.1, bottom - 0.14, right + 0.1, bottom), soft) * front
            albedo = mix(albedo, vector(0.42, 0.40, 0.35), np.maximum(lintel, sill))
        return Matter(albedo, kelvin, emissivity, gloss)

    return material


def planks(noise: Noise, colour: tuple[float, float, float]) -> Material:
    """Weathered boards: fence, crates, pallets."""

    def material(patch: Patch) -> Matter:
        along = np.where(np.abs(patch.normal[:, 0]) > 0.5, patch.points[:, 2], patch.points[:, 0])
        gap, shade = boards(along, 0.14, patch.footprint, noise)
        grain = noise.fractal(patch.points * vector(60, 3, 60), 3, patch.footprint * 60)
        albedo = (
            plain(len(gap), colour) * (1 + 0.35 * shade + 0.3 * grain)[:, None] * (1 - 0.75 * gap)[:, None]
        )
        return Matter(albedo, AIR + 0.5 + 0.4 * shade + 0.5 * gap, 0.92)

    return material


def rusty(patch: Patch) -> Matter:
    """The burning drum: rusty, and hottest at half its height."""
    y = patch.points[:, 1]
    ring = np.abs((y % 0.3) - 0.15) < 0.02
    albedo = plain(len(y), (0.17, 0.075, 0.04)) * np.where(ring, 0.6, 1.0)[:, None]
    return Matter(albedo, AIR + 18 + 60 * np.exp(-(((y - 0.5) / 0.3) ** 2)), 0.85)


def drum() -> Body:
    """An oil drum, 88 cm high."""

    def shape(points: Array) -> tuple[Array, Array]:
        aside = np.hypot(points[:, 0] - DRUM[0], points[:, 2] - DRUM[2]) - 0.29
        return np.maximum(aside, np.abs(points[:, 1] - 0.44) - 0.44), np.zeros(len(points), np.float32)

    core = capsule(DRUM + vector(0, 0.2, 0), DRUM + vector(0, 0.6, 0), 0.29)
    return Body(shape, DRUM - vector(0.3, 0, 0.3), DRUM + vector(0.3, 0.9, 0.3), [core])


def clouds(noise: Noise):
    """The cover of the sky by fair-weather clouds, (n,) in 0..1."""

    def cover(rays: Array) -> Array:
        upward = np.flatnonzero(rays[:, 1] > 0.02)
        x, up, z = rays[upward].T
        at = np.stack([x / up, 0 * up + 3.3, z / up], 1) * 0.55
        share = np.zeros(len(rays), np.float32)
        share[upward] = smoothstep(-0.05, 0.75, noise.fractal(at, 5)) * smoothstep(0.02, 0.12, up)
        return share

    return cover


def greenery(stage: Stage, noise: Noise) -> None:
    """Trees, a hedge behind the depot, grass in the foreground."""
    rng = np.random.default_rng(21)
    for x, z, tall, wide, leafage in [(-8.2, 19.0, 4.6, 1.5, 9000), (8.6, 21.0, 5.2, 1.9, 9000)]:
        fork = vector(x + 0.1, 0.45 * tall, z)
        limbs = [capsule(vector(x, 0, z), fork, 0.19, 0.14)]
        for side in (-1, 1):
            limbs.append(
                capsule(fork, vector(x + side * 0.4 * wide, 0.85 * tall, z + 0.3 * side), 0.11, 0.05)
            )
        stage.rods(limbs, bark(AIR, noise))
        spots = (vector(x, tall, z) + rng.uniform(-1, 1, (34, 3)) * vector(0.95, 0.62, 0.9) * wide).astype(
            np.float32
        )
        sizes = rng.uniform(0.25, 0.62, 34) * wide * 0.62
        stage.cloud(
            foliage(spots, sizes, leafage, 0.10, 22), leaves((0.12, 0.19, 0.045), AIR - 0.5, 1.5, noise)
        )
        stage.blockers.append([ball(spot, 0.8 * size) for spot, size in zip(spots, sizes, strict=True)])
    line = np.stack([np.linspace(-34, 34, 60), rng.uniform(1.0, 3.6, 60), rng.uniform(39, 44, 60)], 1)
    hedge = foliage(line.astype(np.float32), rng.uniform(1.2, 2.4, 60), 20000, 0.28, 23)
    stage.cloud(hedge, leaves((0.085, 0.125, 0.05), AIR - 0.5, 1.5, noise))
    for near, far, count, dots in [(6.5, 14.5, 50000, (1, 10)), (3.8, 6.5, 11000, (3, 26))]:
        roots = rng.uniform((-0.55 * far, 0, near), (0.55 * far, 0, far), (count, 3)).astype(np.float32)
        roots = roots[path_share(roots, noise) < 0.4]
        stage.cloud(grass(roots, 0.12, dots, 24), leaves((0.15, 0.21, 0.06), AIR, 1.0, noise))


def build(width: int = 480, height: int = 360) -> Scene:
    """The whole scene."""
    noise = Noise(12)
    stage = Stage(Camera(width, height, 610 * width / 640, 1.7, 0.015))
    stage.ground(meadow(noise))
    stage.box(vector(-10.5, 0, WALL), vector(9.2, 5.6, 38), depot(noise))
    stage.box(vector(-10.7, 5.6, WALL - 0.2), vector(9.4, 5.85, 38), enamel((0.36, 0.35, 0.33), AIR + 1.0))
    for left in (-13.0,):
        stage.box(vector(left, 0.1, 20.5), vector(-5.4, 1.5, 20.56), planks(noise, (0.30, 0.22, 0.14)))
    for low, high in [
        ((-5.3, 0, 12.6), (-4.3, 0.8, 13.6)),
        ((-5.1, 0.8, 12.8), (-4.4, 1.35, 13.4)),
        ((-4.2, 0, 13.0), (-3.5, 0.6, 13.7)),
    ]:
        stage.box(vector(*low), vector(*high), planks(noise, (0.36, 0.27, 0.16)))
        middle = (vector(*low) + vector(*high)) / 2
        stage.blockers.append([ball(middle, 0.5 * (high[0] - low[0]))])
    stage.body(drum(), rusty)

    van = Frame(5.6, 17.5, -2.2)
    stage.body(car(van), saloon((0.42, 0.06, 0.05), van, noise, AIR + 0.5, 7.0, lit=False))
    for frame, clothes, stride, raised in [
        (Frame(-2.7, 10.4, 2.5), Clothes((0.62, 0.28, 0.03), (0.06, 0.08, 0.14), tape=True), 0.30, 2.4),
        (Frame(0.95, 14.6, -1.9), Clothes((0.10, 0.16, 0.28), (0.09, 0.09, 0.10)), 0.38, 0.0),
        (Frame(2.35, 15.2, -2.6), Clothes((0.25, 0.24, 0.20), (0.05, 0.055, 0.08)), 0.22, 0.0),
        (Frame(-4.7, 23.0, 1.4), Clothes((0.12, 0.2, 0.12), (0.07, 0.07, 0.08)), 0.40, 0.0),
    ]:
        stage.body(person(frame, stride, raised=raised), dressed(clothes, frame, noise, AIR))
    greenery(stage, noise)

    cover = clouds(noise)

    def sky(rays: Array) -> Array:
        up = np.clip(rays[:, 1:2], 0, 1)
        blue = vector(0.20, 0.36, 0.68) + np.exp(-6 * up) * vector(0.42, 0.36, 0.18)
        return mix(blue, vector(0.95, 0.94, 0.93), 0.9 * cover(rays))

    veil = smoke(stage.hits, noise, DRUM, SUN, SUNLIGHT, SKYLIGHT, AIR)
    lights = [Light(2000 * SUN, SUNLIGHT, 0.03)]
    return Scene(
        stage.hits.camera,
        stage.hits,
        stage.painted(),
        stage.blockers,
        lights,
        sky,
        SKYLIGHT,
        vector(0.10, 0.09, 0.06),
        AIR,
        38.0,
        cover,
        9.0,
        veil,
    )
