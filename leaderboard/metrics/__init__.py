"""The metrics of the leaderboard, in the order of their columns: a file here and a name below for each."""

from leaderboard.metrics import attribute, bleu, chrf, compression, cost, distinct, perplexity, rouge_l, self_bleu

MODULES = (perplexity, distinct, self_bleu, compression, attribute, bleu, rouge_l, chrf, cost)
