"""Scene 1, a street corner at night: lettering, bricks and glare in visible light, warm people in the infrared."""

import numpy as np

from ivf_scenes.bodies import Frame, car, foliage, person
from ivf_scenes.geometry import Array, Camera, capsule, vector
from ivf_scenes.light import Light, Scene
from ivf_scenes.materials import Clothes, bark, brickwork, dressed, enamel, leaves, plain, rough, saloon
from ivf_scenes.stage import Matter, Patch, Stage
from ivf_scenes.textures import Noise, inside, lettering, mix, smoothstep

AIR = 281.0
FACADE = 15.0  # z of the shop front
SHOP_WINDOW = (-8.0, 0.55, -3.2, 2.85)
DOOR = (-2.6, 0.12, -1.55, 2.6)
SIGN = (-8.0, 3.12, -1.4, 3.98)
LETTERS = (-7.1, 3.32, -2.3, 3.78)
UPPER = [(-7.7, 5.0, -6.5, 6.7), (-5.2, 5.0, -4.0, 6.7), (-2.7, 5.0, -1.5, 6.7)]
SODIUM, TUNGSTEN = vector(1.0, 0.62, 0.28), vector(1.0, 0.76, 0.48)


def street(noise: Noise):
    """Asphalt, still warm from the day, with worn white markings and a manhole cover."""

    def material(patch: Patch) -> Matter:
        x, _, z = patch.points.T
        grain = noise.fractal(patch.points * 28, 3, patch.footprint * 28)
        wear = noise.fractal(patch.points * 0.7, 4)
        albedo = plain(len(x), (0.085, 0.084, 0.082)) * (1 + 0.55 * grain + 0.3 * wear)[:, None]
        crack = np.abs(noise.fractal(patch.points * 0.55 + 9.0, 4)) * np.clip(
            1.2 - patch.footprint * 30, 0, 1
        )
        albedo *= (1 - 0.5 * (crack < 0.012))[:, None]
        soft = np.maximum(patch.footprint, 0.01)
        zebra = inside((x - 1.75) % 1.0, z, (0.22, 12.6, 0.74, 15.4), soft) * inside(
            x, z, (1.75, 0, 5.75, 99), soft
        )
        dashes = inside(x, (z + 1.2) % 6, (3.65, 0, 3.79, 3), soft) * (z > 17)
        across = inside((x + 0.6) % 3, z, (0, 7.42, 1.6, 7.56), soft)
        paint = np.maximum(np.maximum(zebra, dashes), across) * smoothstep(-0.75, 0.25, wear + 0.6 * grain)
        albedo = mix(albedo, vector(0.62, 0.62, 0.58), 0.85 * paint)
        cover = np.hypot(x - 2.0, z - 8.9)
        iron = smoothstep(0.34, 0.33, cover) * (1 - 0.5 * smoothstep(0.02, 0.01, np.abs(cover - 0.29)))
        albedo = mix(albedo, vector(0.05, 0.048, 0.045), iron)
        wet = smoothstep(0.05, 0.55, noise.fractal(patch.points * vector(0.35, 0, 0.6) + 4.0, 4))
        albedo *= (1 - 0.35 * wet)[:, None]
        tracks = np.minimum(np.abs(x - 4.28), np.abs(x - 5.72))
        warmed = smoothstep(0.16, 0.06, tracks) * (z < 16) * smoothstep(5.0, 16.0, z)
        kelvin = AIR + 3.6 + 0.9 * wear - 0.5 * paint + 0.2 * grain - 1.2 * wet + 1.6 * warmed - 1.3 * iron
        gloss = 0.02 + 0.3 * wet
        return Matter(albedo, kelvin, 0.95, gloss, normal=rough(patch, noise, 0.05, 0.1))

    return material


def pavement(noise: Noise):
    """Slabs of 60 cm with a granite kerb."""

    def material(patch: Patch) -> Matter:
        x, y, z = patch.points.T
        soft = np.maximum(patch.footprint, 0.006)
        slab = inside(x % 0.6, z % 0.6, (0.004, 0.004, 0.596, 0.596), soft)
        tint = noise(np.floor(patch.points * vector(1 / 0.6, 0, 1 / 0.6)) * 1.37 + 0.5)
        grain = noise.fractal(patch.points * 22, 3, patch.footprint * 22)
        albedo = (
            plain(len(x), (0.20, 0.19, 0.175))
            * ((0.6 + 0.4 * slab) * (1 + 0.16 * tint + 0.3 * grain))[:, None]
        )
        albedo[y < 0.118] = (0.27, 0.265, 0.255)
        return Matter(albedo, AIR + 2.2 + 0.3 * tint, 0.94, 0.004)

    return material


def room(points: Array, ray: Array, noise: Noise) -> Array:
    """The view through the shop window: shelves of bread in a lit room 2.6 m deep."""
    low, high = vector(-8.4, 0.1, FACADE), vector(-1.2, 3.0, FACADE + 2.6)
    with np.errstate(divide="ignore"):
        exits = np.where(ray > 0, (high - points) / ray, (low - points) / ray)
    axis = exits.argmin(1)
    far = points + exits.min(1)[:, None] * ray
    x, y, z = far.T
    shelf = (np.abs((y - 0.35) % 0.55) < 0.05) & (y < 2.4)
    loaf = noise(
        np.stack([np.floor(x / 0.22) * 1.7, np.floor((y - 0.35) / 0.55) * 2.3, 0 * x], 1).astype(np.float32)
    )
    across = np.abs(x / 0.22 % 1 - 0.5)
    bread = ((y - 0.4) % 0.55 < 0.2 + 0.1 * loaf - 0.35 * across**2) & (y < 2.2) & (loaf > -0.45)
    wall = plain(len(x), (0.62, 0.52, 0.38))
    wall[bread] = vector(0.50, 0.27, 0.10) * (1 + 0.5 * loaf[bread, None])
    wall[shelf] = (0.20, 0.12, 0.07)
    side = plain(len(x), (0.55, 0.46, 0.35))
    ceiling = plain(len(x), (0.75, 0.70, 0.60))
    lamp = np.exp(-(((x + 6.6) ** 2 + (z - 16.3) ** 2) / 0.06)) + np.exp(
        -(((x + 4.4) ** 2 + (z - 16.3) ** 2) / 0.06)
    )
    ceiling *= (1 + 9 * lamp)[:, None]
    floor = plain(len(x), (0.22, 0.17, 0.13))
    colour = np.select(
        [(axis == 2)[:, None], (axis == 0)[:, None], (y > 1.5)[:, None]], [wall, side, ceiling], floor
    )
    return colour * TUNGSTEN * (0.75 + 0.2 * (y / 3.0))[:, None]


def shop(noise: Noise):
    """The corner house: brick, a lit shop window, a sign; glass is opaque to heat and shows no lettering."""

    def material(patch: Patch) -> Matter:
        x, y, z = patch.points.T
        front = patch.normal[:, 2] < -0.5
        u = np.where(front, x, z)
        albedo, mortar = brickwork(patch, u, y, noise)
        soft = np.maximum(patch.footprint, 0.008)
        draught = noise.fractal(np.stack([u * 0.3, y * 0.3, 0 * u], 1), 3)
        floors = np.exp(-(((y - 4.35) / 0.14) ** 2)) + np.exp(-(((y - 7.3) / 0.2) ** 2))
        kelvin = AIR + 3.4 + 1.0 * draught + 0.5 * mortar + 1.3 * floors - 0.22 * y
        emissivity = np.full(len(x), 0.93, np.float32)
        gloss, glow = np.zeros(len(x), np.float32), np.zeros((len(x), 3), np.float32)
        plinth = front & (y < 0.55) & (x < -1.2)
        albedo[plinth] = (0.10, 0.10, 0.11)

        def fit(rectangle: tuple[float, float, float, float], frame: float, colour, panes: tuple[int, int]):
            """Adds a frame with panes to the front; returns the fraction of glass for each ray."""
            nonlocal albedo, kelvin
            left, bottom, right, top = rectangle
            outer = inside(x, y, rectangle, soft) * front
            albedo = mix(albedo, colour, outer)
            kelvin = kelvin + outer * (AIR + 4.4 - kelvin)
            wide, tall = (right - left) / panes[0], (top - bottom) / panes[1]
            inner = (frame, frame, wide - frame, tall - frame)
            return outer * inside((x - left) % wide, (y - bottom) % tall, inner, soft)

        ray = patch.points - vector(0, 1.6, 0)
        ray /= np.linalg.norm(ray, axis=1, keepdims=True)
        for rectangle, colour, panes, lit in [
            (SHOP_WINDOW, (0.05, 0.09, 0.07), (3, 1), "shop"),
            (DOOR, (0.05, 0.09, 0.07), (1, 1), "shop"),
            (UPPER[0], (0.5, 0.5, 0.48), (2, 2), "dark"),
            (UPPER[1], (0.5, 0.5, 0.48), (2, 2), "dark"),
            (UPPER[2], (0.5, 0.5, 0.48), (2, 2), "curtain"),
        ]:
            glass = fit(rectangle, 0.055, colour, panes)
            pane = glass > 0
            albedo = mix(albedo, vector(0.02, 0.022, 0.025), glass)
            gloss = np.maximum(gloss, 0.2 * glass)
            warm = {"shop": 7.5, "dark": 4.2, "curtain": 9.5}[lit]
            rise = np.clip((y - rectangle[1]) / (rectangle[3] - rectangle[1]), 0, 1)
            kelvin = kelvin + glass * (AIR + warm + 1.6 * rise - kelvin)
            emissivity -= 0.07 * glass
            if lit == "shop":
                glow[pane] = room(patch.points[pane], ray[pane], noise) * glass[pane, None] * 0.85
            if lit == "curtain":
                fold = 0.75 + 0.25 * np.sin(x[pane] * 60 + 2 * noise(patch.points[pane] * 3))
                glow[pane] = TUNGSTEN * vector(1, 0.85, 0.6) * (0.42 * fold * glass[pane])[:, None]
        sheet = inside(x, y, (-2.48, 1.56, -1.68, 1.94), soft) * front
        ink = lettering("OPEN", x, y, (-2.43, 1.64, -1.73, 1.86)) * front
        glow = glow * (1 - sheet)[:, None] + (0.9 * sheet * (1 - 0.92 * ink))[:, None] * vector(
            0.75, 0.8, 0.7
        )
        sill = np.zeros(len(x), bool)
        for left, bottom, right, top in UPPER:
            sill |= front & (x > left - 0.12) & (x < right + 0.12) & (np.abs(y - bottom + 0.09) < 0.09)
            sill |= front & (x > left - 0.12) & (x < right + 0.12) & (np.abs(y - top - 0.13) < 0.13)
        albedo[sill] = (0.34, 0.32, 0.28)
        return Matter(albedo, kelvin, emissivity, gloss, glow)

    return material


def sign(noise: Noise):
    """A board with glowing letters; its temperature is uniform, so they are invisible in the infrared."""

    def material(patch: Patch) -> Matter:
        x, y, _ = patch.points.T
        front = patch.normal[:, 2] < -0.5
        ink = lettering("LUNA  BAKERY", x, y, LETTERS) * front
        border = front & (
            inside(x, y, (SIGN[0] + 0.1, SIGN[1] + 0.08, SIGN[2] - 0.1, SIGN[3] - 0.08), patch.footprint)
            < 0.5
        )
        albedo = plain(len(x), (0.03, 0.06, 0.10))
        albedo[border] = (0.35, 0.27, 0.10)
        glow = ink[:, None] * vector(2.3, 1.75, 0.95)
        return Matter(albedo, AIR + 4.4 + 0.3 * noise(patch.points * 0.8), 0.92, 0.05, glow)

    return material


def terrace(noise: Noise, axis: int, seed: int):
    """Distant houses: rows of windows, a few of them lit."""

    def material(patch: Patch) -> Matter:
        u, v = patch.points[:, axis], patch.points[:, 1]
        albedo, _ = brickwork(patch, u, v, noise)
        albedo = mix(albedo, vector(0.24, 0.21, 0.17), np.full(len(u), 0.5, np.float32))
        soft = np.maximum(patch.footprint, 0.01)
        pane = inside(u % 2.6, (v - 0.6) % 3.0, (0.8, 0.6, 1.8, 2.2), soft)
        cell = noise(
            np.stack([np.floor(u / 2.6) * 1.91 + seed, np.floor((v - 0.6) / 3) * 2.77, 0 * u], 1).astype(
                np.float32
            )
        )
        lit = pane * (cell > 0.45)
        albedo = mix(albedo, vector(0.02, 0.02, 0.025), pane)
        glow = (0.35 * lit * (0.7 + 0.3 * cell))[:, None] * TUNGSTEN
        kelvin = AIR + 3.0 + 0.3 * cell + pane * (1.2 + 2.0 * (cell > 0.45)) - 0.08 * v
        return Matter(albedo, kelvin, 0.93 - 0.06 * pane, 0.1 * pane, glow)

    return material


def lamp_post(stage: Stage, x: float, z: float, reach: float) -> Light:
    """A post with an arm; returns the light of its head."""
    head = vector(x + reach, 5.75, z)
    stage.rods(
        [capsule(vector(x, 0, z), vector(x, 5.9, z), 0.075, 0.05), capsule(vector(x, 5.9, z), head, 0.04)],
        enamel((0.08, 0.09, 0.09), AIR + 1.0),
    )
    bulb = [capsule(head + vector(-0.25, -0.06, 0), head + vector(0.25, -0.06, 0), 0.085)]
    stage.rods(
        bulb, lambda patch: Matter(plain(len(patch.part), (0.3, 0.3, 0.3)), AIR + 24, 0.9, 0, 26 * SODIUM)
    )
    stage.blockers.pop()
    return Light(head - vector(0, 0.2, 0), 62 * SODIUM, 0.15, vector(0, -1, 0), 0.7, casts=z < 30)


def sky(rays: Array) -> Array:
    """The sky over a town at night: brownish above the roofs."""
    up = np.clip(rays[:, 1:2], 0, 1)
    return vector(0.0035, 0.0045, 0.008) + np.exp(-5 * up) * vector(0.016, 0.012, 0.008)


def build(width: int = 480, height: int = 360) -> Scene:
    """The whole scene."""
    noise = Noise(11)
    stage = Stage(Camera(width, height, 620 * width / 640, 1.6, 0.0))
    stage.ground(street(noise))
    stage.box(vector(-30, 0, 12.2), vector(1.5, 0.12, 80), pavement(noise))
    stage.box(vector(6.0, 0, 9.0), vector(30, 0.12, 80), pavement(noise))
    stage.box(vector(-14, 0, FACADE), vector(0.6, 9.0, 34), shop(noise))
    stage.box(vector(-14, 7.4, FACADE - 0.3), vector(0.9, 7.7, FACADE), enamel((0.30, 0.28, 0.25), AIR + 2.4))
    stage.box(vector(SIGN[0], SIGN[1], FACADE - 0.16), vector(SIGN[2], SIGN[3], FACADE), sign(noise))
    stage.box(vector(8.6, 0, 12), vector(25, 9.5, 70), terrace(noise, 2, 3))
    stage.box(vector(-6, 0, 36), vector(0.3, 8.5, 70), terrace(noise, 2, 8))
    stage.box(vector(-10, 0, 78), vector(22, 12, 84), terrace(noise, 0, 5))

    lights = [
        lamp_post(stage, 6.5, 19.0, -1.2),
        lamp_post(stage, 1.1, 34.0, 1.0),
        lamp_post(stage, 6.5, 50.0, -1.0),
    ]
    lights.append(Light(vector(-9.0, 5.5, 5.0), 18 * SODIUM, 0.15, vector(0.35, -0.9, 0.2), 1.2))
    for x in (-7.2, -5.6, -4.0):
        lights.append(
            Light(
                vector(x, 1.9, FACADE - 0.05),
                3.2 * TUNGSTEN,
                0.35,
                vector(0, -0.25, -0.97),
                1.0,
                casts=x == -5.6,
            )
        )
    lights.append(Light(vector(-4.7, 3.5, FACADE - 0.6), 2.2 * TUNGSTEN, 0.5, casts=False))

    parked, arrived = Frame(-3.4, 10.6, -np.pi / 2), Frame(5.0, 16.8, 0.0)
    stage.body(car(parked), saloon((0.10, 0.16, 0.26), parked, noise, AIR + 0.8, 0.6, lit=False))
    stage.body(car(arrived), saloon((0.32, 0.31, 0.30), arrived, noise, AIR + 1.5, 10.0, lit=True))
    for frame, clothes, stride in [
        (Frame(0.12, 9.8, 1.35), Clothes((0.020, 0.022, 0.028), (0.018, 0.018, 0.024)), 0.42),
        (Frame(-1.1, 13.4, -1.2, 0.12), Clothes((0.20, 0.05, 0.05), (0.05, 0.06, 0.10)), 0.2),
        (Frame(4.75, 10.2, 3.5), Clothes((0.03, 0.035, 0.03), (0.025, 0.025, 0.03)), 0.3),
        (Frame(6.9, 27.0, 0.3, 0.12), Clothes((0.09, 0.08, 0.07), (0.04, 0.04, 0.05)), 0.4),
    ]:
        stage.body(person(frame, stride), dressed(clothes, frame, noise, AIR))

    trunk = [
        capsule(vector(7.5, 0, 15), vector(7.4, 2.4, 15), 0.17, 0.13),
        capsule(vector(7.4, 2.4, 15), vector(6.7, 4.0, 14.8), 0.1, 0.05),
        capsule(vector(7.4, 2.4, 15), vector(8.2, 4.2, 15.1), 0.1, 0.05),
    ]
    stage.rods(trunk, bark(AIR, noise))
    rng = np.random.default_rng(5)
    centres = (vector(7.5, 4.6, 15) + rng.normal(0, 1, (16, 3)) * vector(0.95, 0.75, 0.9)).astype(np.float32)
    stage.cloud(
        foliage(centres, rng.uniform(0.55, 0.95, 16), 6000, 0.075, 6),
        leaves((0.075, 0.13, 0.05), AIR + 0.2, 0.8, noise),
    )
    return Scene(
        stage.hits.camera,
        stage.hits,
        stage.painted(),
        stage.blockers,
        lights,
        sky,
        vector(0.010, 0.012, 0.018),
        vector(0.006, 0.005, 0.004),
        AIR,
        26.0,
    )
