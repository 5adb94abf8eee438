"""What the programs of this folder share: how they say what they do, and options that each has."""

import argparse
import sys
from collections.abc import Callable


def progress(name: str) -> Callable[[str], None]:
    """Returns what prints a line of the program `name`, beside its results."""
    return lambda message: print(f"{name}: {message}", file=sys.stderr, flush=True)


def options(module: str, description: str) -> argparse.ArgumentParser:
    """Returns the options of the program `Benchmarks.MODULE`, to which it adds its own."""
    program = f"python3 -m Benchmarks.{module}"
    parser = argparse.ArgumentParser(prog=program, description=description)
    parser.add_argument("--threads", type=int, help="by default all cores of this process")
    return parser
