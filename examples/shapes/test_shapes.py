"""Tests of captions, and of what is seen: python3 -m unittest discover examples/shapes"""

import random
import unittest
from collections import Counter
from itertools import combinations_with_replacement, product
from operator import sub

import check
import draw
import png
from scene import BACKGROUNDS, COLOURS, KINDS, NUMBERS, SHAPES, Scene, caption, parsed
from see import seen

SIDE = 32


def drawn(number, seed=1):
    """Returns a scene, and the rows of its picture's bytes."""
    scene, places = draw.scene(seed, number)
    return scene, png.read(draw.picture(scene, places, SIDE)).rows


def found(rows):
    """Returns what is seen in rows of bytes."""
    return seen(png.read(png.written(rows)))


class Captions(unittest.TestCase):
    def test_all_round_trip(self):
        captions = set()
        for count, background in product(range(1, len(NUMBERS) + 1), BACKGROUNDS):
            for objects in combinations_with_replacement(KINDS, count):
                if len(set(objects)) <= 2:
                    words = caption(Scene(background, objects))
                    again = parsed(words)
                    self.assertEqual(again.background, background)
                    self.assertEqual(Counter(again.objects), Counter(objects))
                    captions.add(words)
        self.assertEqual(len(captions), 2352)

    def test_order_means_nothing(self):
        words = "three green triangles and a yellow cross on grey"
        self.assertEqual(caption(parsed(words)), "a yellow cross and three green triangles on grey")

    def test_other_words_mean_nothing(self):
        for words in (
            *("", " ", "on", " on white", "a red circle", "a red circle on red", "red on white"),
            *("a red circles on white", "two red circle on white", "five red circles on white"),
            *("a red circle and a red circle on white", "a red circle and on white", "\0\ufffd\t"),
            *("two red circles and three blue squares on white", "a pink circle on white"),
            "a red circle and a blue circle and a green circle on white",
        ):
            self.assertIsNone(parsed(words), words)

    def test_everything_is_about_as_frequent(self):
        scenes = [draw.scene(1, number)[0] for number in range(4000)]
        kinds = [kind for scene in scenes for kind in scene.objects]
        for names, values in (
            (BACKGROUNDS, [scene.background for scene in scenes]),
            (NUMBERS, [len(scene.objects) for scene in scenes]),
            (COLOURS, [colour for colour, _ in kinds]),
            (SHAPES, [shape for _, shape in kinds]),
        ):
            counts = Counter(values)
            self.assertEqual(len(counts), len(names))
            for count in counts.values():
                self.assertAlmostEqual(count * len(names) / len(values), 1, delta=0.1)


class Seeing(unittest.TestCase):
    def right(self, change, count=30):
        """Returns the share of pictures in which all is seen after `change`."""
        pairs = [drawn(number) for number in range(count)]
        return sum(check.scores(scene, found(change(rows)))["all"] for scene, rows in pairs) / count

    def test_a_picture_is_its_caption_and_no_other(self):
        scenes = [drawn(number) for number in range(300)]
        for (scene, rows), (other, _) in zip(scenes, scenes[1:] + scenes[:1]):
            sight = found(rows)
            self.assertEqual(set(check.scores(scene, sight).values()), {True})
            if caption(scene) != caption(other):
                self.assertFalse(check.scores(other, sight)["all"])

    def test_each_score_is_of_its_own(self):
        sight = Scene("white", [("red", "circle"), ("blue", "square")])
        for words, wrong in (
            ("a red circle and a blue square on white", set()),
            ("a red circle and a blue square on black", {"background", "all"}),
            ("a red circle and a green square on white", {"colours", "all"}),
            ("a red circle and a blue cross on white", {"shapes", "all"}),
            ("a red square and a blue circle on white", {"all"}),
            ("a red circle on white", {"count", "colours", "shapes", "all"}),
            ("a picture of some kind", set(check.SCORES)),
        ):
            scores = check.scores(parsed(words), sight)
            self.assertEqual({name for name in scores if not scores[name]}, wrong, words)

    def test_blurred(self):
        self.assertGreaterEqual(self.right(lambda rows: blurred(blurred(rows))), 0.9)

    def test_noisy(self):
        chance = random.Random(1)
        self.assertGreaterEqual(self.right(lambda rows: noisy(rows, chance)), 0.9)
        self.assertGreaterEqual(self.right(lambda rows: noisy(blurred(rows), chance)), 0.9)

    def test_from_a_codebook(self):
        codes = codebook([drawn(number, seed=2)[1] for number in range(100)], 512)
        self.assertGreaterEqual(self.right(lambda rows: from_codes(rows, codes)), 0.9)

    def test_what_is_no_scene(self):
        chance = random.Random(1)
        for width, height in (1, 1), (1, 9), (70, 1), (3, 200), (32, 32):
            rows = [bytes(chance.randrange(256) for _ in range(3 * width)) for _ in range(height)]
            self.assertFalse(check.scores(parsed("a red circle on white"), found(rows))["all"])
        self.assertEqual(found([bytes(96)] * 32), Scene("black", []))


def blurred(rows):
    """Returns rows in which each pixel is the mean of four."""
    below = list(rows[1:]) + [rows[-1]]
    return [
        bytes((a + b + c + d + 2) // 4 for a, b, c, d in zip(x, x[3:] + x[-3:], y, y[3:] + y[-3:]))
        for x, y in zip(rows, below)
    ]


def noisy(rows, chance):
    return [bytes(min(max(v + chance.randint(-20, 20), 0), 255) for v in row) for row in rows]


def patches(rows):
    """Returns the patches of 4 x 4 pixels of a picture."""
    places = product(range(0, SIDE, 4), range(0, SIDE * 3, 12))
    return [b"".join(bytes(row[x : x + 12]) for row in rows[y : y + 4]) for y, x in places]


def closest(patch, codes):
    return min(codes, key=lambda code: sum(map(abs, map(sub, patch, code))))


def codebook(pictures, size):
    """Returns the code of each patch: the mean of those nearest to one of the most frequent."""
    counts = Counter(patch for rows in pictures for patch in patches(rows))
    centres = [patch for patch, _ in counts.most_common(size)]
    clusters = {centre: [] for centre in centres}
    for patch, count in counts.items():
        clusters[patch if patch in clusters else closest(patch, centres)].append((patch, count))
    codes = {}
    for members in clusters.values():
        total = sum(count for _, count in members)
        columns = zip(*(patch for patch, _ in members))
        weights = [count for _, count in members]
        mean = bytes(sum(v * w for v, w in zip(column, weights)) // total for column in columns)
        codes.update((patch, mean) for patch, _ in members)
    return codes


def from_codes(rows, codes):
    """Returns a picture of which each patch is replaced by its code."""
    means = [codes.get(patch) or closest(patch, codes.values()) for patch in patches(rows)]
    return [
        b"".join(mean[y % 4 * 12 : y % 4 * 12 + 12] for mean in means[y // 4 * 8 : y // 4 * 8 + 8])
        for y in range(SIDE)
    ]
