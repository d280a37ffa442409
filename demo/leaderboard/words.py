"""The words of the Leaderboard tab."""

from html import escape

from demo.parts.words import PHASES, PROSE, count, duration, moment, sampling_line
from leaderboard.records import PromptSet, Run, RunSpec
from leaderboard.runs.estimator import Estimate
from leaderboard.runs.plan import Progress

# The form
OWN_PROMPTS = "Score your own prompts"
UPLOAD = "Upload a file"
DOWNLOAD_SET = "Save this set"
ONLY_SHIPPED = "This set is yours: only shipped sets are saved from here."
PASTED = "pasted prompts"
QUICK, FULL = "Quick (8 prompts)", "Full (all prompts)"
NO_SUCH_SET = "There is no such prompt set: choose {known}, or upload a file."
BAD_RUN_METHODS = "Methods: choose 1 to {most}, such as base, lora:poetry or lora:poetry+pplm:science."
BASE_JUDGE = "the base model, unadapted"
BAD_JUDGE = "This judge is not offered here: choose {known}."
ABOUT_PROMPTS = "About the prompts"
PREVIEW = "The first prompts"
ESTIMATE = "Size and time of the run"
RUN, RESUME = "Run", "Resume"
PROGRESS = "Progress of the run"
RUN_STOPPED = "Stopped. Finished texts are kept; Resume continues."
NEWEST = "The newest texts"
METHOD, NUMBER_OF_TEXT, WRITTEN, TOKENS = "Method", "No.", "Text", "Tokens"
PROMPT, REFERENCE = "Prompt", "Reference"

# The results
TEXTS, DETAILS = "Texts", "Details"
NO_SUCH_METHOD = "This run has no such method: click a row of the table."
TABLE_TAB, PLOTS_TAB, TEXTS_TAB = "All columns", "Any two metrics", "Prompt by prompt"
BESIDE_TAB, FACTS_TAB, FILES_TAB = "Compare runs", "Reproduce", "Export"
ALL_PROMPTS = "all prompts"
NO_SUCH_SLICE = "No prompt of this run has that tag: choose a slice from the list."
TABLE = "Leaderboard"
TABLE_HELP = PROSE["leaderboard"]["TABLE_HELP"]
PASSPORTS = "Definitions"
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
CROSS = "Who finds whose text likely?"
CROSS_HELP = PROSE["leaderboard"]["CROSS_HELP"]
UNDER = "under {scorer}"
PROMPTS_THEMSELVES, REFERENCES_THEMSELVES = "(the prompts)", "(the references)"
PLOTS_HELP = PROSE["leaderboard"]["PLOTS_HELP"]
NO_FIGURES = "There are no figures yet: no prompt has a text by every method."
NO_SUCH_METRIC = "This run has no such metric: choose one from the list."
AS_IN_FILE = "as in the file"
LOWEST_FIRST = "{method}: lowest perplexity first (best)"
HIGHEST_FIRST = "{method}: highest perplexity first (worst)"
TAG = "tag {name}"
PROMPT_NUMBER = "Prompt {number}"
PROMPT_AND_REFERENCE = "The chosen prompt"
TEXTS_OF = "Texts of method {place}"
NO_TEXT = "No text for this prompt yet."
NO_SUCH_PROMPT = "This run has no such prompt: choose a row of the table."
SAMPLE_LINE = PROSE["leaderboard"]["SAMPLE_LINE"]
BESIDE = "Two runs side by side"
BESIDE_HELP = "≠ marks figures whose 95 % intervals do not overlap. The runs may have different prompts."
THIS_RUN, OTHER_RUN, APART = "this run", "the other", "≠"
VERDICT = "Result of the replay"
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
FILES_HELP = PROSE["leaderboard"]["FILES_HELP"]
PUBLISH = "Send to the Hub"
PUBLISHED = "Sent to {address}"
PUBLISHED_BEFORE = "Already sent to {address}"
CANNOT_PUBLISH = "The operator has not set up a dataset on the Hub."

# Earlier runs
EARLIER = "Your runs"
MADE_AT, STATUS = "Made (UTC)", "Status"
EARLIER_COLUMNS = [MADE_AT, "Prompts", "Methods", STATUS, "Where", "Id"]
COMMAND_LINE, HERE, SHIPPED = "on the command line", "in this browser", "shipped"


def run_line(spec: RunSpec) -> str:
    shared = sampling_line(spec.sampling, spec.seed, spec.chat)
    judge = BASE_JUDGE if spec.judge is None else spec.judge
    return f"{count(spec.samples, 'text')} a prompt · {shared} · judged by {judge}"


def prompts_line(prompts: PromptSet) -> str:
    parts = [count(len(prompts.prompts), "prompt")]
    parts.append(f"{count(prompts.duplicates, 'duplicate')}" if prompts.duplicates else "no duplicates")
    if prompts.has_references:
        parts.append("with references")
    return " · ".join(parts)


def estimate(estimate: Estimate) -> str:
    if estimate.num_known == estimate.num_texts:
        return f"{count(estimate.num_texts, 'text')}, all stored already: only the scoring is left."
    known = f" ({estimate.num_known:,} stored already)" if estimate.num_known else ""
    return f"{count(estimate.num_texts, 'text')}{known}, about {duration(estimate.seconds)}"


def progress(progress: Progress, num_texts: int) -> str:
    left = "" if progress.seconds_left is None else f" · about {duration(progress.seconds_left)} left"
    of = f"{progress.done:,} of at most {progress.total:,} tokens"
    return f"{PHASES[progress.phase]} · {count(num_texts, 'text')} · {of}{left}"


def run_done(total: int, written: int) -> str:
    stored = "" if written >= total else f" ({total - written:,} stored already)"
    return f"Done: {count(total, 'text')} written and scored{stored}."


def run_summary(run: Run, ships: bool = False) -> str:
    prompts, methods = count(len(run.prompts.prompts), "prompt"), count(len(run.spec.methods), "method")
    samples, status = count(run.spec.samples, "text"), "" if run.status == "done" else f" · {run.status}"
    begun = "An example run that ships · " if ships else ""
    made = f"seed {run.spec.seed} · {run.base} · {moment(run.created)} UTC"
    return f"{begun}{prompts} × {methods} × {samples} of {run.spec.sampling.max_new_tokens} tokens · {made}{status}"


def texts_title(method: str, shown: int, all: int) -> str:
    first = "" if shown == all else f", the first {shown} of {all} prompts"
    return f"<h3>Texts of {escape(method)}{first}</h3><p>Click another method in the table or the plot.</p>"
