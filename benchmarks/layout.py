"""`python -m benchmarks.layout`: how long products with the output layer take, by the memory order of its weight.

Medians in milliseconds on one thread of a CPU, forward (x W^T) and backward (g W), for some numbers of rows.
"""

import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

OUT, IN = 49_152, 576  # the output layer of the embedded model
ROWS = (1, 2, 4, 8, 16)


def milliseconds(product: Callable[[Tensor, Tensor], Tensor], x: Tensor, weight: Tensor, repeats: int = 15) -> float:
    """Median time of a product, after one that is not counted."""
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        product(x, weight)
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times[1:])


def main() -> None:
    torch.set_num_threads(1)
    by_output = torch.randn(OUT, IN)
    weights = {"by output": by_output, "by input": by_output.t().contiguous().t()}
    print("| rows |", " | ".join(f"{kind} {name}" for kind in ("forward", "backward") for name in weights), "|")
    print("|---" * (1 + 2 * len(weights)) + "|")
    for rows in ROWS:
        x, g = torch.randn(rows, IN), torch.randn(rows, OUT)
        forward = [milliseconds(torch.nn.functional.linear, x, weight) for weight in weights.values()]
        backward = [milliseconds(torch.matmul, g, weight) for weight in weights.values()]
        print(f"| {rows} |", " | ".join(f"{value:.1f}" for value in forward + backward), "|")


if __name__ == "__main__":
    main()
