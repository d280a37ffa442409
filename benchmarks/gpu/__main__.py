"""`python -m benchmarks.gpu` is `python -m benchmarks gpu` without the libraries that the other commands need."""

import argparse
import sys

from benchmarks.gpu import gpu_command

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=gpu_command.__doc__)
    gpu_command.add_options(parser)
    sys.exit(gpu_command.run(parser.parse_args(), ""))
