"""What a scene is: its colours, its shapes, and the one way to say it.

A scene is a background and one to four objects of one or two kinds; a kind is a colour and a
shape. Nothing here knows of files.
"""

from collections import Counter, namedtuple
from itertools import product
from math import sqrt

BACKGROUNDS = {
    "white": (245, 245, 245),
    "black": (20, 20, 20),
    "grey": (128, 128, 128),
}
# Far enough apart that a mean of two, which a codebook of patches may hold, is rarely a third.
COLOURS = {
    "red": (220, 35, 35),
    "green": (40, 170, 70),
    "blue": (40, 80, 225),
    "yellow": (250, 225, 50),
}
NUMBERS = "a", "two", "three", "four"


# How far a point is outside a shape that fills -1…1 both ways; negative inside. Down is positive.


def circle(x, y):
    return sqrt(x * x + y * y) - 1


def square(x, y):
    return max(abs(x), abs(y)) - 1


def triangle(x, y):
    return max((2 * abs(x) - y - 1) / sqrt(5), y - 1)


def cross(x, y):
    x, y = abs(x), abs(y)
    return max(max(x, y) - 1, min(x, y) - 1 / 3)


SHAPES = {"circle": circle, "square": square, "triangle": triangle, "cross": cross}
KINDS = list(product(COLOURS, SHAPES))

# The name of a background, and a list with the kind of each object.
Scene = namedtuple("Scene", "background objects")


def coverage(shape, x, y, width, height):
    """Returns how much of the pixel around a point is inside a shape around the origin: 0 to 1."""
    outside = SHAPES[shape](2 * x / width, 2 * y / height) * min(width, height) / 2
    return min(max(0.5 - outside, 0.0), 1.0)


def phrase(count, kind):
    """Returns some objects of one kind in words, such as "two blue squares"."""
    colour, shape = kind
    ending = "" if count == 1 else "es" if shape.endswith("s") else "s"
    return f"{NUMBERS[count - 1]} {colour} {shape}{ending}"


MEANINGS = {
    phrase(count, kind): [kind] * count for count in range(1, len(NUMBERS) + 1) for kind in KINDS
}


def caption(scene):
    """Returns the caption of a scene: the kind with fewer objects first, else as in `KINDS`."""
    groups = sorted((count, KINDS.index(kind)) for kind, count in Counter(scene.objects).items())
    things = " and ".join(phrase(count, KINDS[index]) for count, index in groups)
    return f"{things} on {scene.background}"


def parsed(text):
    """Returns the scene that a caption describes, or None if it describes none.

    Two kinds may come in either order; nothing else is understood but what `caption` writes.
    """
    things, _, background = text.strip().rpartition(" on ")
    groups = [MEANINGS.get(words, []) for words in things.split(" and ")]
    objects = sum(groups, [])
    told_apart = all(groups) and len(groups) == len(set(objects)) <= 2
    if background in BACKGROUNDS and told_apart and len(objects) <= len(NUMBERS):
        return Scene(background, objects)
    return None
