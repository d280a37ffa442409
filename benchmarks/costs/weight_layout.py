"""`python -m benchmarks weights`: times of matrix products by the memory order of the weights.

Medians of CPU time in milliseconds, one thread, forward (x W^T) and backward (g W), for the embedded model's weights.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

# Shape (out, in) -> number in the model; together they exceed the CPU's cache.
SHAPES = {(49_152, 576): 1, (1536, 576): 60, (576, 1536): 30, (576, 576): 60, (192, 576): 60}
ROWS = (1, 2, 4, 8, 16)


def milliseconds(product: Callable[[Tensor, Tensor], Tensor], x: Tensor, weights: list[Tensor], repeats: int) -> float:
    """Median CPU time of the products with all weights, after a warm-up."""
    times = []
    for _ in range(repeats + 1):
        start = time.process_time()
        for weight in weights:
            product(x, weight)
        times.append(1000 * (time.process_time() - start))
    return statistics.median(times[1:])


def add_options(_: argparse.ArgumentParser) -> None:
    """There are none."""


def run(_: argparse.Namespace, __: str) -> int:
    """Measure, and print a table in Markdown."""
    torch.set_num_threads(1)
    columns = [f"{kind} {order}" for kind in ("forward", "backward") for order in ("by output", "by input")]
    print("| weights | rows |", " | ".join(columns), "|")
    print("|---" * (2 + len(columns)) + "|")
    for (outputs, inputs), count in SHAPES.items():
        by_output = [torch.randn(outputs, inputs) for _ in range(count)]
        orders = by_output, [weight.t().contiguous().t() for weight in by_output]
        for rows in ROWS:
            x, g = torch.randn(rows, inputs), torch.randn(rows, outputs)
            forward = [milliseconds(torch.nn.functional.linear, x, weights, 15) for weights in orders]
            backward = [milliseconds(torch.matmul, g, weights, 15) for weights in orders]
            cells = " | ".join(f"{value:.1f}" for value in forward + backward)
            print(f"| {count} x ({outputs}, {inputs}) | {rows} | {cells} |")
    return 0
