"""Finds the objects in a picture of a scene, though edges may be blurred and colours off."""

from collections import Counter
from functools import lru_cache
from itertools import product
from statistics import median

from scene import BACKGROUNDS, COLOURS, SHAPES, Scene, coverage

PALETTE = {**BACKGROUNDS, **COLOURS}
UNCLEAR = "unclear"
# More pixels a side tell nothing more of a scene.
ENOUGH = 64
# The share of a picture below which a component is a speck, and no object.
SPECK = 0.015
# How many of an object's pixels have its colour, at least.
AGREEMENT = 0.6
# How many times as wide as high an object may be, or as high as wide.
STRETCH = 1.5
# How much of an object and a shape together is common to both, at least.
LIKENESS = 0.7


def distance(one, other):
    """Returns the square of how far two colours are apart."""
    (r, g, b), (red, green, blue) = one, other
    return (r - red) ** 2 + (g - green) ** 2 + (b - blue) ** 2


@lru_cache(maxsize=1 << 16)
def nearest(pixel):
    """Returns the name of the colour that is nearest to a pixel's."""
    return min(PALETTE, key=lambda name: distance(PALETTE[name], pixel))


def seen(picture):
    """Returns the scene in a picture, in which colours and shapes may be `UNCLEAR`."""
    rows = sampled(picture)
    edge = rows[0] + rows[-1] + [row[0] for row in rows] + [row[-1] for row in rows]
    background = Counter(map(nearest, edge)).most_common(1)[0][0]
    back = middle([pixel for pixel in edge if nearest(pixel) == background])
    front = {
        (x, y): pixel
        for y, row in enumerate(rows)
        for x, pixel in enumerate(row)
        if nearest(pixel) != background
    }
    least = SPECK * len(rows) * len(rows[0])
    parts = [part for part in components(front) if len(part) >= least]
    return Scene(background, [kind_of(part, rows, back) for part in parts])


def sampled(picture):
    """Returns the rows of a picture's pixels, evenly thinned if there are more than `ENOUGH`."""
    step = -(-max(picture.width, picture.height) // ENOUGH)
    columns, lines = (
        range(min(step // 2, length - 1), length, step)
        for length in (picture.width, picture.height)
    )
    return [[picture.pixel(x, y) for x in columns] for y in lines]


def middle(pixels):
    """Returns the median of each channel."""
    return tuple(median(channel) for channel in zip(*pixels))


def components(front):
    """Returns the parts of `front`, which has pixels by place, that touch nowhere."""
    rest, found = dict(front), []
    while rest:
        place, pixel = rest.popitem()
        part, open_ends = {place: pixel}, [place]
        while open_ends:
            x, y = open_ends.pop()
            for place in (x - 1, y), (x + 1, y), (x, y - 1), (x, y + 1):
                if place in rest:
                    part[place] = rest.pop(place)
                    open_ends.append(place)
        found.append(part)
    return found


def kind_of(part, rows, back):
    """Returns the colour and the shape of a component."""
    # Edges are mixed with the background: the half that is least like it has the colour.
    core = sorted(part.values(), key=lambda pixel: distance(pixel, back))[len(part) // 2 :]
    colour, count = Counter(map(nearest, core)).most_common(1)[0]
    across, down = zip(*part)
    columns = range(max(min(across) - 1, 0), min(max(across) + 2, len(rows[0])))
    lines = range(max(min(down) - 1, 0), min(max(down) + 2, len(rows)))
    front = middle(core)
    around = {(x, y): rows[y][x] for x, y in product(columns, lines)}
    shares = {pixel: share(pixel, front, back) for pixel in set(around.values())}
    solid = {place: shares[pixel] for place, pixel in around.items()}
    return colour if count >= AGREEMENT * len(core) else UNCLEAR, shape_of(solid)


def share(pixel, front, back):
    """Returns how far a pixel is on the way from `back`, 0, to `front`, 1."""
    along = sum((p - b) * (f - b) for p, f, b in zip(pixel, front, back))
    return min(max(along / (distance(front, back) or 1), 0), 1)


def shape_of(solid):
    """Returns the shape that has most in common with what is solid, from 0 to 1, at places.

    Each shape is put where its mean is that of the object, and stretched until it spreads as far.
    """
    if not any(solid.values()):
        return UNCLEAR
    means, spreads = moments(solid)
    likeness = {}
    for shape, (offsets, widths) in MOMENTS.items():
        width, height = (spread / wide for spread, wide in zip(spreads, widths))
        x0, y0 = means[0] - offsets[0] * width, means[1] - offsets[1] * height
        there = [coverage(shape, x - x0, y - y0, width, height) for x, y in solid]
        common = sum(map(min, solid.values(), there))
        either = sum(solid.values()) + sum(there) - common
        likeness[shape] = common / either if 1 / STRETCH <= width / height <= STRETCH else 0
    best = max(likeness, key=likeness.get)
    return best if likeness[best] >= LIKENESS else UNCLEAR


def moments(solid):
    """Returns the mean place of what is solid, and its standard deviation, both ways."""
    weight = sum(solid.values())
    means, spreads = [], []
    for axis in 0, 1:
        mean = sum(here * place[axis] for place, here in solid.items()) / weight
        square = sum(here * (place[axis] - mean) ** 2 for place, here in solid.items())
        means.append(mean)
        # A pixel is not a point: within it, too, there is a spread, of 1 / 12.
        spreads.append((square / weight + 1 / 12) ** 0.5)
    return means, spreads


def moments_of(shape, fine=16):
    """Returns the moments of a shape as parts of its width and height."""
    steps = [place + 0.5 for place in range(-fine, fine)]
    solid = {(x, y): coverage(shape, x, y, 2 * fine, 2 * fine) for x, y in product(steps, steps)}
    return [[value / (2 * fine) for value in both] for both in moments(solid)]


MOMENTS = {shape: moments_of(shape) for shape in SHAPES}
