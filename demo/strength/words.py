"""The text on the Strength tab."""

STRENGTH = "Strength"
STRENGTH_HELP = (
    "Strength is how many nats of KL one more word of the attribute may cost. More strength puts more texts on topic "
    "and makes them less like the model's own. This is what it bought, and what it cost, on 20 neutral openers."
)
STRENGTH_PLOT_HELP = (
    "Each point is one strength: nats per word for ours, step size for the paper's. Lines are 95 % bootstrap intervals "
    "over prompts, dashes are the goals. Better: higher; less perplexity and repetition; more distinct word pairs."
)
STRENGTH_TABLE_HELP = (
    "Success is the share of texts that show the attribute; the judges have no word list. "
    "“Unsteered = 1” compares with the unsteered texts of the same prompts and seeds. ✓ goal reached, ✗ not reached."
)
NOT_MEASURED = (
    "Nothing has been measured yet: run "
    "python -m benchmarks frontier --out leaderboard/data/frontier.json and start the app again."
)
OTHER_BASE = "These figures are of another base model: {measured}. {running} is running."
NO_SUCH_STRENGTH = "That was not measured: choose from the lists."
ALGORITHMS = {
    "unsteered": "unsteered",
    "ours": "ours, by nats per word",
    "paper": "the paper's algorithm, by step size",
}
ALGORITHMS_SHORT = {"unsteered": "unsteered", "ours": "ours", "paper": "the paper's"}
VERDICTS = {True: "✓", False: "✗"}
