#!/usr/bin/env python3
"""Draws the pictures of this folder, and writes their captions and speech units.

Needs nothing but Python's standard library, and writes the same bytes every time:

    python3 examples/data/draw.py
"""

import os
import struct
import zlib

SIDE = 32
COLOURS = {
    "red": (220, 40, 40),
    "green": (40, 170, 70),
    "blue": (50, 80, 220),
    "yellow": (240, 210, 50),
    "white": (245, 245, 245),
    "black": (20, 20, 20),
    "purple": (150, 60, 190),
    "orange": (240, 140, 40),
}


def circle(x, y):
    return (x - 15.5) ** 2 + (y - 15.5) ** 2 <= 10.5**2


def square(x, y):
    return 6 <= x <= 25 and 6 <= y <= 25


def triangle(x, y):
    return 5 <= y <= 26 and abs(x - 15.5) <= (y - 4) / 2


def cross(x, y):
    return 12 <= x <= 19 and 4 <= y <= 27 or 4 <= x <= 27 and 12 <= y <= 19


def ring(x, y):
    return 6.5**2 <= (x - 15.5) ** 2 + (y - 15.5) ** 2 <= 11.5**2


def bar(x, y):
    return 11 <= y <= 20


def diamond(x, y):
    return abs(x - 15.5) + abs(y - 15.5) <= 12


def checker(x, y):
    return (x // 8 + y // 8) % 2 == 0


PICTURES = [
    ("circle", circle, "red", "white"),
    ("square", square, "blue", "yellow"),
    ("triangle", triangle, "green", "black"),
    ("cross", cross, "white", "red"),
    ("ring", ring, "purple", "green"),
    ("bar", bar, "orange", "blue"),
    ("diamond", diamond, "yellow", "purple"),
    ("checker", checker, "black", "orange"),
]


def chunk(kind, data):
    checksum = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)


def png(inside, front, back):
    """Returns the PNG file of the pixels for which `inside` holds in `front` on `back`."""
    rows = b""
    for y in range(SIDE):
        rows += b"\0"
        for x in range(SIDE):
            rows += bytes(COLOURS[front if inside(x, y) else back])
    # Stored, not compressed: every version of zlib writes these bytes.
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(rows, 0))
        + chunk(b"IEND", b"")
    )


def article(word):
    return "an" if word[0] in "aeiou" else "a"


def units(caption):
    """Returns stand-ins for speech units: two ids from 0 to 499 for each letter."""
    ids = []
    for letter in caption:
        code = ord(letter)
        ids += [code * 7 % 500, (code * 13 + 101) % 500]
    return " ".join(str(unit) for unit in ids)


def main():
    folder = os.path.dirname(os.path.abspath(__file__))
    captions = ["# picture, tab, caption; written by draw.py"]
    speech = ["# the speech units of each caption; written by draw.py"]
    for name, inside, front, back in PICTURES:
        with open(os.path.join(folder, name + ".png"), "wb") as file:
            file.write(png(inside, front, back))
        caption = f"{article(front)} {front} {name} on {back}"
        captions.append(f"{name}.png\t{caption}")
        speech.append(units(caption))
    for name, lines in ("captions.txt", captions), ("speech-units.txt", speech):
        with open(os.path.join(folder, name), "w", encoding="utf-8", newline="\n") as file:
            file.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
