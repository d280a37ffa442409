"""The words of the Leaderboard tab."""

from demo.parts.words import PHASES, SAME, count, duration, moment, sampling_line
from leaderboard.records import PromptSet, Run, RunSpec
from leaderboard.runs.runner import Estimate, Progress
from leaderboard.store.stored import RunLine

UPLOAD = "Upload a set"
DOWNLOAD_SET = "Save this set"
ONLY_SHIPPED = "This set is your own file: only those that come with the app are saved from here."
NO_SUCH_SET = "There is no such prompt set: choose one of {known}, or upload a file."
BAD_RUN_METHODS = "Methods: choose 1 to {most}, such as base, lora:poetry or lora:poetry+pplm:science."
BASE_JUDGE = "the base model, unadapted"
BAD_JUDGE = "This judge is not offered here: choose one of {known}."
ABOUT_PROMPTS = "About the prompts"
PREVIEW = "The first prompts"
ESTIMATE = "What the run would take"
RUN = "Run"
RESUME = "Resume"
PROGRESS = "Progress of the run"
RUN_DONE = "Done: {texts} were written or found, and scored."
RUN_STOPPED = "Stopped: every text that was finished is kept, and Resume goes on from there."
NEWEST = "The newest texts"
METHOD, NUMBER_OF_TEXT, WRITTEN, TOKENS = "method", "no.", "text", "tokens"
PROMPT, REFERENCE = "prompt", "Reference"

# Leaderboard: the results
TABLE_TAB, PLOTS_TAB, TEXTS_TAB = "Table", "Plots", "Texts"
BESIDE_TAB, FACTS_TAB, FILES_TAB = "Beside another run", "Settings and replay", "Save"
ALL_PROMPTS = "all prompts"
NO_SUCH_SLICE = "No prompt of this run has that tag: choose a slice from the list."
TABLE = "Leaderboard"
TABLE_HELP = (
    "Each figure stands over its 95 % interval, a bootstrap over prompts. ↑ higher is better, ↓ lower is better. "
    "★ is the best of a column, or cannot be told apart from it. ≈ cannot be told apart from the base: the interval of "
    "their difference, prompt by prompt, covers zero. – is no value. The menu ⋮ of a column sorts and filters."
)
PASSPORTS = "What each column is"
PASSPORT_FIELDS = {
    "direction": "better",
    "aggregation": "computed as",
    "n": "over",
    "judge": "judge",
    "bos": "BOS",
    "masking": "counted",
    "tokenisation": "tokens",
    "length": "length",
    "interval": "interval",
}
CROSS = "Cross-scores: every method's texts under every unsteered model"
CROSS_HELP = (
    "Perplexity of the texts of each row under the model of each column. It tells what is unlikely for the base from "
    "what is bad: a text that even the model which wrote it finds unlikely is bad."
)
UNDER = "under {scorer}"
PROMPTS_THEMSELVES, REFERENCES_THEMSELVES = "(the prompts)", "(the references)"
TRADE_OFF, BARS = "Fluency against diversity", "One metric"
PLOTS_HELP = (
    "Lines are 95 % bootstrap intervals over prompts. Repetition lowers perplexity too, so read it together with "
    "diversity: a method that is better in both stands apart from the others in both directions."
)
NO_FIGURES = "There are no figures yet: no prompt has a text by every method."
NO_SUCH_METRIC = "This run has no such metric: choose one from the list."
MADE_AT, STATUS, MADE_BY, RUN_ID = "Made (UTC)", "Status", "Where", "Id"
STATUSES = {"running": "running", "stopped": "stopped", "failed": "failed", "done": "done"}
COMMAND_LINE, HERE = "on the command line", "in this browser"
EARLIER = "Earlier runs"
AS_IN_FILE = "as in the file"
LOWEST_FIRST = "{method}: lowest perplexity first (best)"
HIGHEST_FIRST = "{method}: highest perplexity first (worst)"
TAG = "tag {name}"
PROMPT_NUMBER = "Prompt {number}"
PROMPT_AND_REFERENCE = "The chosen prompt"
TEXTS_OF = "Texts of method {place}"
NO_TEXT = "No text for this prompt yet."
NO_SUCH_PROMPT = "This run has no such prompt: choose a row of the table."
SAMPLE_LINE = (
    "Text {draw} · perplexity {perplexity} · distinct-2 (words) {distinct} · repetition {repetition} · {tokens}"
)
BESIDE = "Two runs beside each other"
BESIDE_HELP = "≠ marks figures whose 95 % intervals lie apart. The runs may have other prompts: see their settings."
THIS_RUN, OTHER_RUN, APART = "this run", "the other", "≠"
VERDICT = "What the replay says"
REPLAYING_RUN = "Writing every text again: {done} of {total}."
RUN_DIFFERS = "{method}, prompt {prompt}, text {draw}: token {token} differs."
AND_MORE = "And {number} more."
FILES = {
    "report.html": "Report (HTML)",
    "table.csv": "Table (CSV)",
    "table.parquet": "Table (Parquet)",
    "texts.csv": "Texts (CSV)",
    "texts.jsonl": "Texts (JSONL)",
    "texts.parquet": "Texts (Parquet)",
    "run.json": "Settings and table (JSON)",
}
FILES_HELP = (
    "The report is one file that opens without this app. In CSV a cell that a spreadsheet would run begins with an "
    "apostrophe; JSONL and Parquet hold every text exactly. The table carries what each column is."
)
PUBLISH = "Send to the Hub"
PUBLISHED = "Sent to {address}"
PUBLISHED_BEFORE = "This run was sent before: {address}"
CANNOT_PUBLISH = "Whoever runs this app has not set up a place on the Hub."


def run_line(spec: RunSpec) -> str:
    """The settings of a run in one line."""
    shared = sampling_line(spec.sampling, spec.seed, spec.chat).removesuffix(SAME)
    judge = BASE_JUDGE if spec.judge is None else spec.judge
    return f"{count(spec.samples, 'text')} a prompt · {shared} · judged by {judge}"


def prompts_line(prompts: PromptSet) -> str:
    """How many prompts a set has, and what is with them."""
    parts = [count(len(prompts.prompts), "prompt")]
    parts.append(f"{count(prompts.duplicates, 'duplicate')}" if prompts.duplicates else "no duplicates")
    if prompts.has_references:
        parts.append("with references")
    return " · ".join(parts)


def estimate(estimate: Estimate) -> str:
    """What a run would take."""
    if estimate.num_known == estimate.num_texts:
        return f"{count(estimate.num_texts, 'text')}, all stored already: this only takes the scoring, if that."
    known = f", {estimate.num_known:,} stored already" if estimate.num_known else ""
    tokens = f"at most {estimate.num_tokens:,} new tokens"
    return f"{count(estimate.num_texts, 'text')}{known} · {tokens} · about {duration(estimate.seconds)} here"


def progress(progress: Progress, num_texts: int) -> str:
    """How far a run is."""
    left = "" if progress.seconds_left is None else f" · about {duration(progress.seconds_left)} left"
    of = f"{progress.done:,} of at most {progress.total:,} tokens"
    return f"{PHASES[progress.phase]} · {count(num_texts, 'text')} · {of}{left}"


def run_title(line: RunLine) -> str:
    """A run in a list to choose from."""
    return f"{moment(line.created)} · {line.name} · {', '.join(line.methods)}"


def run_summary(run: Run) -> str:
    """What a run consists of, in one line."""
    prompts, methods = count(len(run.prompts.prompts), "prompt"), count(len(run.spec.methods), "method")
    samples, status = count(run.spec.samples, "text"), "" if run.status == "done" else f" · {STATUSES[run.status]}"
    return f"{prompts} × {methods} × {samples} · seed {run.spec.seed} · made {moment(run.created)} UTC{status}"
