"""The folder of a corpus, and how a program says what it cannot do."""

import sys


class Refusal(Exception):
    """What cannot be done and why, in a sentence."""


def read_captions(path):
    """Returns the pairs of file and caption in a captions.txt."""
    with open(path, encoding="utf-8", errors="replace", newline="\n") as file:
        lines = file.read().split("\n")
    pairs = []
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.startswith("#"):
            name, tab, words = line.partition("\t")
            if not tab:
                raise Refusal(f"{path}:{number}: a line is a file, a tab and a caption")
            pairs.append((name, words))
    if not pairs:
        raise Refusal(f"{path} has no captions")
    return pairs


def write_captions(path, pairs):
    """Writes a captions.txt of pairs of file and caption."""
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        file.write("# file, tab, caption; written by examples/shapes/draw.py\n")
        file.writelines(f"{name}\t{words}\n" for name, words in pairs)


def answer(program, work):
    """Calls `work`; if that cannot be done, says so and exits with 2."""
    try:
        work()
    except (Refusal, OSError) as error:
        failed = isinstance(error, OSError) and error.filename
        sentence = f"{error.filename}: {error.strerror}" if failed else error
        print(f"{program}: {sentence}", file=sys.stderr)
        sys.exit(2)
