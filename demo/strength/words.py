"""The words of the Strength tab."""

STRENGTH = "Strength"
STRENGTH_HELP = (
    "The strength of PPLM is a number of nats: how far a token may drift from what the model would have drawn it from "
    "if that brings one more word of the attribute; where it brings none, nothing is steered. More of it puts more "
    "texts on topic and makes them less like the model's own, so it is worth knowing what it buys before turning it up."
)
STRENGTH_PLOT_HELP = (
    "Each point is an algorithm at one strength, the number beside it: nats a word for ours, the step size for the "
    "paper's. Lines are 95 % bootstrap intervals over prompts, dashes are what was aimed at. Further up is better; so "
    "is less perplexity and repetition, and more distinct word pairs."
)
STRENGTH_TABLE_HELP = (
    "Success is the share of texts in which a judge that never saw a word list sees what was wanted. What is relative "
    "compares with the unsteered texts for the same prompts and seeds. ✓ what was aimed at is reached, ✗ it is not."
)
NOT_MEASURED = (
    "Nothing is shown, because nothing has been measured yet: run "
    "python -m benchmarks frontier --out leaderboard/data/frontier.json and start the app again."
)
OTHER_BASE = "These figures are of another base model: {measured} was measured, {running} is running."
NO_SUCH_STRENGTH = "That was not measured: choose from the lists."
ALGORITHMS = {
    "unsteered": "unsteered",
    "ours": "ours, by nats a word",
    "paper": "the paper's algorithm, by step size",
}
ALGORITHMS_SHORT = {"unsteered": "unsteered", "ours": "ours", "paper": "the paper's"}
VERDICTS = {True: "✓", False: "✗"}
