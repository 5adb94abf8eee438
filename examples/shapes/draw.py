#!/usr/bin/env python3
"""Draws pictures of simple scenes with true captions, and speaks captions.

    python3 examples/shapes/draw.py runs/shapes --count 4000

Needs nothing but Python's standard library; speech needs espeak-ng. A scene depends on the seed
and its number alone, so that a corpus begins with every shorter one of its seed.
"""

import argparse
import os
import random
import shutil
import subprocess
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import png
from corpus import Refusal, answer, write_captions
from scene import BACKGROUNDS, COLOURS, KINDS, NUMBERS, Scene, caption, coverage

# A picture is 32 units wide: 2 x 2 cells of 16, in which an object stays 2 from the cell's edges.
# That all are even keeps different patches of 4 x 4 few, so that a small codebook draws well.
UNITS = 32
CELL = 16
MARGIN = 2
SIZES = 10, 12

VOICES = "en", "en-us", "en-gb-scotland", "en-gb-x-rp"
VARIANTS = "m1", "m3", "m7", "f1", "f2", "f4"


def scene(seed, number):
    """Returns a scene, and the left, top and size of each of its objects."""
    chance = random.Random(f"{seed} {number}")
    count = chance.randint(1, len(NUMBERS))
    first, second = chance.sample(KINDS, 2)
    others = chance.randint(1, count - 1) if count > 1 and chance.random() < 0.5 else 0
    places = []
    for cell in chance.sample(range(4), count):
        size = chance.choice(SIZES)
        across, down = (chance.choice((MARGIN, CELL - MARGIN - size)) for _ in range(2))
        places.append((cell % 2 * CELL + across, cell // 2 * CELL + down, size))
    background = chance.choice(list(BACKGROUNDS))
    return Scene(background, [first] * (count - others) + [second] * others), places


def picture(scene, places, side):
    """Returns the PNG file of a scene in `side` x `side` pixels."""
    back = BACKGROUNDS[scene.background]
    rows = [bytearray(back * side) for _ in range(side)]
    for (colour, shape), place in zip(scene.objects, places):
        left, top, size = (length * side / UNITS for length in place)
        for y in range(int(top), int(top + size) + 1):
            for x in range(int(left), int(left + size) + 1):
                across, down = x + 0.5 - left - size / 2, y + 0.5 - top - size / 2
                share = coverage(shape, across, down, size, size)
                if share:
                    rows[y][3 * x : 3 * x + 3] = blend(COLOURS[colour], back, share)
    return png.written(rows)


def blend(front, back, share):
    """Returns the bytes of a colour of which `share` is `front`."""
    return bytes(int(share * f + (1 - share) * b + 0.5) for f, b in zip(front, back))


def draw(number, out, seed, side):
    """Draws a scene, and returns its file and caption."""
    subject, places = scene(seed, number)
    name = f"pictures/{number:06}.png"
    with open(os.path.join(out, name), "wb") as file:
        file.write(picture(subject, places, side))
    return name, caption(subject)


def speak(number, out, seed):
    """Speaks the caption of a scene, and returns its file and caption."""
    words = caption(scene(seed, number)[0])
    name = f"speech/{number:06}.wav"
    chance = random.Random(f"{seed} {number} voice")
    voice = f"{chance.choice(VOICES)}+{chance.choice(VARIANTS)}"
    speed, pitch = chance.randint(130, 190), chance.randint(30, 70)
    command = ["espeak-ng", "-v", voice, "-s", str(speed), "-p", str(pitch)]
    command += ["-w", os.path.join(out, name), words]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True)
    if done.returncode or not os.path.exists(os.path.join(out, name)):
        said = done.stderr.decode(errors="replace").strip()
        raise Refusal(f"espeak-ng did not speak {words!r} as {voice}: {said}")
    return name, words


def make(out, count, spoken, seed, side, processes=None):
    """Makes a corpus in a new folder, with as many processes as there are cores."""
    if os.path.lexists(out) and not (os.path.isdir(out) and not os.listdir(out)):
        raise Refusal(f"{out} exists and is not an empty folder: name another, or remove it")
    if spoken and not shutil.which("espeak-ng"):
        raise Refusal("espeak-ng, which speaks, is not installed: apt-get install espeak-ng")
    pairs = []
    # A multiprocessing.Pool ends its processes by SIGTERM, and hangs where whoever started this blocks that.
    with ProcessPoolExecutor(processes) as pool:
        if count:
            os.makedirs(os.path.join(out, "pictures"))
            pairs += pool.map(
                partial(draw, out=out, seed=seed, side=side), range(count), chunksize=16
            )
        if spoken:
            os.makedirs(os.path.join(out, "speech"))
            pairs += pool.map(partial(speak, out=out, seed=seed), range(spoken))
    # Last: a folder without captions was not finished.
    write_captions(os.path.join(out, "captions.txt"), pairs)


def within(least, most):
    """Returns a function that reads a whole number in a range."""

    def number(text):
        value = int(text)
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text} is not in {least}…{most}")
        return value

    return number


def main():
    parser = argparse.ArgumentParser(description="Draws scenes with captions, and speaks captions.")
    parser.add_argument("out", metavar="OUT", help="the folder to make")
    number = within(0, 1_000_000)
    parser.add_argument("--count", type=number, default=4000, help="pictures (4000)")
    parser.add_argument("--spoken", type=number, default=0, help="spoken captions (0)")
    parser.add_argument("--seed", type=int, default=1, help="another seed, other scenes (1)")
    parser.add_argument("--side", type=within(24, 1024), default=32, help="pixels a side (32)")
    arguments = parser.parse_args()
    if not arguments.count and not arguments.spoken:
        parser.error("--count and --spoken are both 0, which leaves nothing to make")
    answer("draw.py", lambda: make(**vars(arguments)))


if __name__ == "__main__":
    main()
