#!/usr/bin/env python3
"""Says how well pictures show what their captions say, or how true captions are.

    python3 examples/shapes/check.py runs/shapes
    python3 examples/shapes/check.py runs/answers --truth runs/shapes/captions.txt
"""

import argparse
import json
import os
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from operator import itemgetter

import png
from corpus import Refusal, answer, read_captions
from scene import parsed
from see import seen

SCORES = "background", "count", "colours", "shapes", "all"


def scores(expected, found):
    """Returns which scores a scene earns; None is no scene, and earns none."""
    if expected is None or found is None:
        return dict.fromkeys(SCORES, False)
    colours, shapes, kinds = (
        Counter(map(part, expected.objects)) == Counter(map(part, found.objects))
        for part in (itemgetter(0), itemgetter(1), tuple)
    )
    background = expected.background == found.background
    count = len(expected.objects) == len(found.objects)
    return dict(zip(SCORES, (background, count, colours, shapes, background and kinds)))


def look(pair, folder):
    """Returns the scores of the picture in a file against its caption."""
    name, caption = pair
    if os.path.isabs(name) or ".." in name.split("/"):
        raise Refusal(f"{name} is outside of {folder}")
    path = os.path.join(folder, name)
    return scores(parsed(caption), seen(png.load(path)))


def compare(pairs, file):
    """Returns the scores of captions against the true ones in a captions.txt."""
    truth = dict(read_captions(file))
    for name, _ in pairs:
        if name not in truth:
            raise Refusal(f"{file} has no caption of {name}")
        if parsed(truth[name]) is None:
            raise Refusal(f"{file} does not describe a scene for {name}: {truth[name]!r}")
    return [scores(parsed(truth[name]), parsed(caption)) for name, caption in pairs]


def check(folder, truth=None):
    """Returns the number of things that were looked at, and the mean of each score."""
    pairs = read_captions(os.path.join(folder, "captions.txt"))
    if truth:
        results = compare(pairs, truth)
    else:
        pictures = [pair for pair in pairs if not pair[0].endswith(".wav")]
        if not pictures:
            raise Refusal(f"{folder} has no pictures: --truth FILE compares captions of speech")
        with ProcessPoolExecutor() as pool:
            results = list(pool.map(partial(look, folder=folder), pictures, chunksize=16))
    means = {name: sum(result[name] for result in results) / len(results) for name in SCORES}
    return {"pictures": len(results), **means}


def table(means):
    """Returns means as lines of text."""
    lines = [f"{'pictures':12}{means['pictures']:6}"]
    return "\n".join(lines + [f"{name:12}{means[name]:6.3f}" for name in SCORES])


def main():
    parser = argparse.ArgumentParser(description="Scores pictures and captions of scenes.")
    parser.add_argument("folder", metavar="FOLDER", help="captions.txt and the pictures it names")
    parser.add_argument("--truth", metavar="FILE", help="compare with the captions in FILE instead")
    parser.add_argument("--json", action="store_true", help="write one JSON object")
    arguments = parser.parse_args()

    def work():
        means = check(arguments.folder, arguments.truth)
        print(json.dumps(means) if arguments.json else table(means))

    answer("check.py", work)


if __name__ == "__main__":
    main()
