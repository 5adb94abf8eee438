"""`python3 -m Benchmarks.matmul`: motc's matrix products alone, beside those of libraries.

Each product is one linear map of a model of its own, with packed weights, and rows that an embedding
looks up in the same kernel: motc reads f32 rows at places that tokens say, rounds or splits them, and
writes f32. Libraries read rows that lie ready, in bf16 if that is the precision, which they write too.
"""

import datetime
import json
import os
import pathlib
import sys
import tempfile
from dataclasses import dataclass, field
from statistics import median

import numpy as np
from safetensors.numpy import load_file, save_file

from . import console, machine, pages
from .heat import ROOT, Failed
from .products import PRODUCTS, Product
from .products_worker import FORMS
from .program import Motc, Worker
from .reference import TOLERANCE, CannotRun

say = console.progress("matmul")

BEGIN = "<!-- written by Benchmarks/run.sh matmul: begin -->"
END = "<!-- written by Benchmarks/run.sh matmul: end -->"

# motc in each precision, and in f32 by vector instructions alone.
MOTC = {
    "f32": ["--precision", "f32"],
    "vectors": ["--precision", "f32", "--disable", "split-f32"],
    "bf16": ["--precision", "bf16"],
}
# The libraries of a column; of all their forms the fastest counts.
COLUMNS = {"OpenBLAS": ["openblas", "numpy"], "PyTorch": ["torch-f32"], "oneDNN": ["torch-bf16"]}


@dataclass
class Times:
    """What was measured of a product: seconds by contestant, and their medians' best."""

    product: Product
    seconds: dict[str, list[float]] = field(default_factory=dict)

    def add(self, name: str, seconds: float) -> None:
        """Adds a measurement."""
        self.seconds.setdefault(name, []).append(seconds)

    def best(self, names: list[str]) -> tuple[float, str] | None:
        """Returns the GFLOP/s of the fastest of `names`, and which it is."""
        found = [(median(self.seconds[n]), n) for n in names if n in self.seconds]
        if not found:
            return None
        seconds, name = min(found)
        return self.product.flops / seconds / 1e9, name

    def column(self, column: str) -> tuple[float, str] | None:
        """Returns the same of a column's libraries."""
        return self.best([f"{of}: {form}" for of in COLUMNS[column] for form in FORMS[of]])


class Products(Motc):
    """The release build of motc, for products."""

    def _run(self, *arguments: object) -> None:
        self.run(*arguments, "--threads", self.threads)

    def check(self, product: Product, options: list[str]) -> float:
        """Returns how far motc's result is off, by norm."""
        with tempfile.TemporaryDirectory() as folder:
            spec, weights, batch, output = (
                pathlib.Path(folder) / name for name in ("p.motir", "w.st", "b.st", "o.st")
            )
            spec.write_text(text_of(product))
            x, w = product.operands()
            names = [f"map.{g}.weight" for g in range(len(w))] if len(w) > 1 else ["map.weight"]
            save_file({"rows": x, **dict(zip(names, w))}, weights)
            kinds = np.repeat(np.arange(len(w), dtype=np.int32), product.groups)[None]
            tokens = np.arange(product.rows, dtype=np.int32)[None]
            save_file({"tokens": tokens, "modality": kinds}, batch)
            files = ["--weights", weights, "--input", batch, "-o", output]
            self._run("run", spec, *files, *options)
            return product.error(load_file(output)["logits"].reshape(product.rows, -1))

    def measure(self, product: Product, options: list[str]) -> float:
        """Returns the seconds of one product."""
        with tempfile.TemporaryDirectory() as folder:
            spec, report = pathlib.Path(folder) / "p.motir", pathlib.Path(folder) / "p.json"
            spec.write_text(text_of(product))
            shares = ",".join(f"{100 * count / product.rows:.12f}" for count in product.groups)
            task = ["--tasks", "forward", "--compare", "fused", "--repeat", 1, "--mix", shares]
            self._run("bench", spec, *task, "--json", report, *options)
            return json.loads(report.read_text())["forward"]["fused"]["seconds_per_step"]


def text_of(product: Product) -> str:
    """Returns a product as graph IR: docs/ir.md."""
    t, k, n, kinds = product.rows, product.depth, product.width, len(product.groups)
    names = ", ".join(f'"{kind}"' for kind in range(kinds))
    lines = [f"module @product batch 1 sequence {t} {{"]
    lines += [
        f'modality "{kind}" {rows.start}..<{rows.stop}' for kind, rows in enumerate(product.slices)
    ]
    routed = kinds > 1
    by = f" by {names}" if routed else ""
    lines += [
        f'parameter @rows : f32[{t}, {k}] component "rows" init normal(1.0)',
        f'parameter @map.weight : f32[{n}, {k}]{by} component "weight" init normal(1.0)',
        "func @logits {",
    ]
    order, at, to = ("R", " by %p", f" by %p groups {list(range(kinds))}") if routed else ("T", "", "")
    lines += [f'%p = input "plan" : plan[{t}, {kinds}]'] if routed else []
    lines += [
        f'%0 = input "tokens"{at} : i32[{order}={t}, 1]',
        f"%1 = embed %0, @rows : f32[{order}={t}, {k}]",
        f"%2 = linear %1, @map.weight{to} : f32[{order}={t}, {n}]",
        'return %2 as "logits"',
        "}",
        "}",
    ]
    return "\n".join(lines) + "\n"


class Library(Worker):
    """The process of a library."""

    def __init__(self, name: str, threads: int):
        variables = {"OPENBLAS_NUM_THREADS": str(threads)}
        super().__init__("Benchmarks.products_worker", [name], threads, **variables)

    def measure(self, product: Product, form: str, precision: str) -> float:
        """Returns the seconds of one product."""
        answer = self.ask(json.dumps([PRODUCTS.index(product), form]))
        require(answer["error"], precision)
        return answer["seconds"]


def require(error: float, precision: str) -> None:
    """Complains of a result that is too far off."""
    if not error <= TOLERANCE[precision]:
        raise Failed(f"its result is off by {error:.1e}")


def measure(products: list[Product], rounds: int, threads: int) -> list[Times]:
    """Measures all contestants in turn."""
    motc = Products(threads)
    libraries = {name: Library(name, threads) for name in FORMS}
    measured, failed = [], set()
    try:
        for product in products:
            for name, options in MOTC.items():
                require(motc.check(product, options), "bf16" if name == "bf16" else "f32")
            times = Times(product)
            for turn in range(rounds):
                say(f"{product.name}: round {turn + 1} of {rounds}")
                for name, options in MOTC.items():
                    times.add(name, motc.measure(product, options))
                for name, library in libraries.items():
                    for form in FORMS[name]:
                        label = f"{name}: {form}"
                        if label in failed:
                            continue
                        try:
                            precision = "bf16" if name == "torch-bf16" else "f32"
                            times.add(label, library.measure(product, form, precision))
                        except Failed as failure:
                            failed.add(label)
                            say(f"{label} failed: {failure}")
            measured.append(times)
    finally:
        for library in libraries.values():
            library.stop()
    return measured


HEADER = [
    "rows × K × N",
    "motc f32",
    "on vectors",
    "OpenBLAS",
    "PyTorch",
    "motc / OpenBLAS",
    "on vectors / OpenBLAS",
    "motc bf16",
    "oneDNN",
    "motc / oneDNN",
]


def cells(times: Times) -> list[str]:
    """Returns a product's line: GFLOP/s and ratios."""
    motc = {name: times.best([name]) for name in MOTC}
    of = {column: times.column(column) for column in COLUMNS}

    def rate(value: tuple[float, str] | None) -> str:
        return f"{value[0]:,.0f}" if value else "–"

    def ratio(value: tuple[float, str] | None, other: tuple[float, str] | None) -> str:
        return f"{value[0] / other[0]:.2f}x" if value and other else "–"

    return [
        times.product.name,
        rate(motc["f32"]),
        rate(motc["vectors"]),
        rate(of["OpenBLAS"]),
        rate(of["PyTorch"]),
        ratio(motc["f32"], of["OpenBLAS"]),
        ratio(motc["vectors"], of["OpenBLAS"]),
        rate(motc["bf16"]),
        rate(of["oneDNN"]),
        ratio(motc["bf16"], of["oneDNN"]),
    ]


def markdown(measured: list[Times], rounds: int, threads: int) -> str:
    """Returns the table and what it is to be read with."""
    versions = machine.versions()
    date = datetime.datetime.now(datetime.UTC).date()
    about = (
        f"`Benchmarks/run.sh matmul --docs`, {date}, on {machine.processor()} "
        f"({', '.join(machine.matrix_units())}), {threads} threads; torch {versions['torch']}, "
        f"numpy {versions['numpy']}. GFLOP/s, medians of {rounds} rounds."
    )
    lines = pages.table(HEADER, [cells(times) for times in measured])
    return "\n".join([about, "", *lines, ""])


def main() -> None:
    """Runs what the options say."""
    parser = console.options(
        "matmul", "Measures matrix products of motc and of libraries, in turn."
    )
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each (5)")
    parser.add_argument("--quick", action="store_true", help="the first product, one round")
    parser.add_argument("--forms", action="store_true", help="print every form of every library")
    parser.add_argument("--docs", action="store_true", help="write the table to docs/benchmarks.md")
    options = parser.parse_args()
    threads = options.threads or len(os.sched_getaffinity(0))
    products, rounds = (PRODUCTS[:1], 1) if options.quick else (PRODUCTS, options.rounds)
    try:
        measured = measure(products, rounds, threads)
    except (Failed, CannotRun) as failure:
        say(str(failure))
        sys.exit(2)
    text = markdown(measured, rounds, threads)
    print(text)
    if options.forms:
        for times in measured:
            for name in times.seconds:
                rate = times.best([name])[0]
                print(f"{times.product.name}: {name}: {rate:,.0f} GFLOP/s")
    if options.docs and not options.quick:
        pages.replace(ROOT / "docs/benchmarks.md", BEGIN, END, text)


if __name__ == "__main__":
    main()
