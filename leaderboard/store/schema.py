"""The tables in SQLAlchemy Core. The migrations create them; a test compares the two.

Text by models and visitors is stored as JSON: PostgreSQL's `text` cannot hold a NUL character, its `json` can.
"""

from sqlalchemy import JSON, BigInteger, Column, DateTime, Float, ForeignKey, Integer, MetaData, String, Table

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

prompt_sets = Table(
    "prompt_sets",
    metadata,
    Column("id", String(64), primary_key=True),  # sha256 of the record
    Column("record", JSON, nullable=False),  # PromptSet
)

runs = Table(
    "runs",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("created", DateTime, nullable=False),  # UTC
    Column("owner", String(64), index=True),
    Column("prompt_set_id", String(64), ForeignKey("prompt_sets.id"), nullable=False, index=True),
    Column("status", String(16), nullable=False),
    Column("record", JSON, nullable=False),  # version, spec, base, hashes, versions, costs, scorers
    Column("results", JSON(none_as_null=True)),  # the table of a finished run, so that it opens at once
    Column("published", String(300)),  # address on the Hub
)

samples = Table(
    "samples",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("seed", BigInteger, nullable=False),
    Column("text", JSON, nullable=False),
    Column("num_tokens", Integer, nullable=False),
    Column("finish_reason", String(16), nullable=False),
    Column("trace", JSON, nullable=False),  # Trace
)

run_samples = Table(
    "run_samples",
    metadata,
    Column("run_id", String(32), ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    Column("prompt", Integer, primary_key=True),
    Column("method", Integer, primary_key=True),
    Column("draw", Integer, primary_key=True),
    Column("sample_key", String(64), ForeignKey("samples.key"), nullable=False, index=True),
)

tallies = Table(
    "tallies",
    metadata,
    Column("sample_key", String(64), ForeignKey("samples.key", ondelete="CASCADE"), primary_key=True),
    Column("scorer", String(64), primary_key=True),  # sha256 of the scorer
    Column("total", Float(53), nullable=False),
    Column("number", Integer, nullable=False),
)

prompt_tallies = Table(
    "prompt_tallies",
    metadata,
    Column("prompt_set_id", String(64), ForeignKey("prompt_sets.id", ondelete="CASCADE"), primary_key=True),
    Column("kind", String(16), primary_key=True),  # "prompt" or "reference"
    Column("scorer", String(64), primary_key=True),
    Column("place", Integer, primary_key=True),
    Column("total", Float(53), nullable=False),
    Column("number", Integer, nullable=False),
)

timings = Table(
    "timings",
    metadata,
    Column("run_id", String(32), ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    Column("method", Integer, primary_key=True),
    Column("first_prompt", Integer, primary_key=True),
    Column("num_tokens", Integer, nullable=False),
    Column("seconds", Float(53), nullable=False),
    Column("peak_bytes", BigInteger, nullable=False),
)

comparisons = Table(
    "comparisons",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("created", DateTime, nullable=False),  # UTC
    Column("owner", String(64), nullable=False),
    Column("record", JSON, nullable=False),
)
