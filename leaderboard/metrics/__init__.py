"""The metrics of the leaderboard, in the order of their columns: a file here and a line below for each."""

from leaderboard.metrics import attribute, bleu, chrf, compression, cost, distinct, perplexity, rouge_l, self_bleu
from leaderboard.metrics.metric import Columns

METRICS: tuple[Columns, ...] = (
    perplexity.columns,
    distinct.columns,
    self_bleu.columns,
    compression.columns,
    attribute.columns,
    bleu.columns,
    rouge_l.columns,
    chrf.columns,
    cost.columns,
)
