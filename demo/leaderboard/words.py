"""The words of the Leaderboard tab."""

from collections.abc import Callable, Sequence
from html import escape

from demo.parts.words import PHASES, PROSE, count, duration, moment, sampling_line, words_of
from leaderboard.records import PromptSet, Run, RunSpec
from leaderboard.runs.estimator import Estimate
from leaderboard.runs.plan import Progress
from leaderboard.texts import Finished

__getattr__: Callable[[str], str] = words_of("leaderboard")
BASE_JUDGE = "the base model, unadapted"
PASSPORT_FIELDS: dict[str, str] = PROSE["leaderboard"]["PASSPORT_FIELDS"]
FILES: dict[str, str] = PROSE["leaderboard"]["FILES"]
MADE_AT, STATUS = "Made (UTC)", "Status"
EARLIER_COLUMNS = [MADE_AT, "Prompts", "Methods", STATUS, "Where", "Id"]


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


def estimate(estimate: Estimate, texts: Sequence[Finished] = ()) -> str:
    beside = "".join(f", and {count(len(each.texts), 'text')} of {each.name}" for each in texts)
    if estimate.num_known == estimate.num_texts:
        return f"{count(estimate.num_texts, 'text')}, all stored already{beside}: only the scoring is left."
    known = f" ({estimate.num_known:,} stored already)" if estimate.num_known else ""
    return f"{count(estimate.num_texts, 'text')}{known}, about {duration(estimate.seconds)}{beside}"


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
