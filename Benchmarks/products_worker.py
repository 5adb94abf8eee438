"""The process of one library that multiplies: `python3 -m Benchmarks.products_worker LIBRARY`.

Each line on stdin is the number of a product and the name of a form; the answer is a line of JSON with
the seconds that one product takes, and with how far its result is off.
"""

import argparse
import ctypes
import ctypes.util
import functools
import gc
import json
import os
import sys
import time
import traceback
from collections.abc import Callable

import numpy as np

from .products import PRODUCTS, Product
from .worker import seconds_of

# What is measured, and what gives y[T, N] afterwards.
Ready = tuple[Callable[[], None], Callable[[], np.ndarray]]
# A form makes ready for a product, on some threads, what may be made once.
Form = Callable[[Product, int], Ready]

# A library's threads wait actively for some time after their last work.
REST_SECONDS = 0.1


@functools.cache
def openblas() -> ctypes.CDLL:
    """Returns the library that motc calls."""
    name = ctypes.util.find_library("openblas")
    if name is None:
        raise RuntimeError("there is no OpenBLAS")
    return ctypes.CDLL(name)


def blas(product: Product, threads: int, is_turned: bool) -> Ready:
    """OpenBLAS, a call a group, with weights [N, K] or turned to [K, N]."""
    library = openblas()
    library.openblas_set_num_threads(threads)
    x, w = product.operands()
    w = np.ascontiguousarray(w.swapaxes(1, 2)) if is_turned else w
    y = np.zeros((product.rows, product.width), np.float32)
    one, zero = ctypes.c_float(1), ctypes.c_float(0)
    # Row major; not transposed, or transposed.
    layout, plain, transposed = 101, 111, 112

    def pointer(values: np.ndarray) -> ctypes.c_void_p:
        return values.ctypes.data_as(ctypes.c_void_p)

    k, n = product.depth, product.width
    calls = [
        (layout, plain, plain if is_turned else transposed, count, n, k, one)
        + (pointer(x[rows]), k, pointer(w[group]), n if is_turned else k, zero)
        + (pointer(y[rows]), n)
        for group, (rows, count) in enumerate(zip(product.slices, product.groups))
    ]

    def run() -> None:
        for arguments in calls:
            library.cblas_sgemm(*arguments)

    return run, lambda: y


def numpy_product(product: Product, threads: int, is_turned: bool) -> Ready:
    """The OpenBLAS that NumPy comes with, likewise; its threads are the environment's."""
    x, w = product.operands()
    turned = w.swapaxes(1, 2)
    turned = np.ascontiguousarray(turned) if is_turned else turned
    y = np.zeros((product.rows, product.width), np.float32)
    calls = [(x[rows], turned[group], y[rows]) for group, rows in enumerate(product.slices)]

    def run() -> None:
        for left, right, out in calls:
            np.matmul(left, right, out=out)

    return run, lambda: y


def torch_product(
    product: Product, threads: int, precision: str, packing: str | None
) -> Ready:
    """`linear` of PyTorch, a call a group; with `packing`, of weights that MKL or oneDNN packed once."""
    import torch

    torch.set_num_threads(threads)
    kind = torch.float32 if precision == "f32" else torch.bfloat16
    x, w = (torch.from_numpy(values).to(kind) for values in product.operands())
    parts = list(zip((x[rows] for rows in product.slices), w, product.groups))
    calls: list[Callable[[], torch.Tensor]] = []
    for rows, weights, count in parts:
        if packing == "mkl":
            packed = torch.ops.mkl._mkl_reorder_linear_weight(weights, count)
            arguments = (rows, packed, weights, None, count)
            calls.append(functools.partial(torch.ops.mkl._mkl_linear, *arguments))
        elif packing == "onednn":
            packed = torch.ops.mkldnn._reorder_linear_weight(weights, count)
            arguments = (rows, packed, None, "none", [], "")
            calls.append(functools.partial(torch.ops.mkldnn._linear_pointwise, *arguments))
        else:
            calls.append(functools.partial(torch.nn.functional.linear, rows, weights))

    last: list[torch.Tensor] = []

    def run() -> None:
        nonlocal last
        with torch.inference_mode():
            last = [call() for call in calls]

    return run, lambda: torch.cat(last).float().numpy()


FORMS: dict[str, dict[str, Form]] = {
    "openblas": {
        "as stored": functools.partial(blas, is_turned=False),
        "turned": functools.partial(blas, is_turned=True),
    },
    "numpy": {
        "NumPy's, as stored": functools.partial(numpy_product, is_turned=False),
        "NumPy's, turned": functools.partial(numpy_product, is_turned=True),
    },
    "torch-f32": {
        "linear": functools.partial(torch_product, precision="f32", packing=None),
        "packed by MKL": functools.partial(torch_product, precision="f32", packing="mkl"),
        "packed by oneDNN": functools.partial(torch_product, precision="f32", packing="onednn"),
    },
    "torch-bf16": {
        "linear": functools.partial(torch_product, precision="bf16", packing=None),
        "packed": functools.partial(torch_product, precision="bf16", packing="onednn"),
    },
}


def measure(library: str, number: int, form: str, threads: int) -> dict[str, float]:
    """Measures one form of one product."""
    product = PRODUCTS[number]
    run, result = FORMS[library][form](product, threads)
    run()
    error = product.error(result())
    time.sleep(REST_SECONDS)
    run()
    gc.collect()
    seconds = seconds_of(run)
    time.sleep(REST_SECONDS)
    return {"seconds": seconds, "error": error}


def main() -> None:
    """Does what the driver says on stdin."""
    parser = argparse.ArgumentParser()
    parser.add_argument("library", choices=FORMS)
    parser.add_argument("--threads", type=int, required=True)
    options = parser.parse_args()
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        number, form = json.loads(line)
        try:
            answer = measure(options.library, number, form, options.threads)
        except Exception as error:
            traceback.print_exc()
            answer = {"failed": f"{type(error).__name__}: {str(error)[:200]}"}
        print(json.dumps(answer), file=channel, flush=True)


if __name__ == "__main__":
    main()
