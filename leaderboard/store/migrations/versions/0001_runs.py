"""Runs, their texts, what was counted in them, and comparisons."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "prompt_sets",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("record", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_prompt_sets"),
    )
    op.create_table(
        "runs",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("created", sa.DateTime, nullable=False),
        sa.Column("owner", sa.String(64)),
        sa.Column("prompt_set_id", sa.String(64), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("record", sa.JSON, nullable=False),
        sa.Column("results", sa.JSON),
        sa.PrimaryKeyConstraint("id", name="pk_runs"),
        sa.ForeignKeyConstraint(["prompt_set_id"], ["prompt_sets.id"], name="fk_runs_prompt_set_id_prompt_sets"),
    )
    op.create_index("ix_runs_owner", "runs", ["owner"])
    op.create_index("ix_runs_prompt_set_id", "runs", ["prompt_set_id"])
    op.create_table(
        "samples",
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("seed", sa.BigInteger, nullable=False),
        sa.Column("text", sa.JSON, nullable=False),
        sa.Column("num_tokens", sa.Integer, nullable=False),
        sa.Column("finish_reason", sa.String(16), nullable=False),
        sa.Column("trace", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_samples"),
    )
    op.create_table(
        "run_samples",
        sa.Column("run_id", sa.String(32), nullable=False),
        sa.Column("prompt", sa.Integer, nullable=False),
        sa.Column("method", sa.Integer, nullable=False),
        sa.Column("draw", sa.Integer, nullable=False),
        sa.Column("sample_key", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "prompt", "method", "draw", name="pk_run_samples"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_run_samples_run_id_runs", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["sample_key"], ["samples.key"], name="fk_run_samples_sample_key_samples"),
    )
    op.create_index("ix_run_samples_sample_key", "run_samples", ["sample_key"])
    op.create_table(
        "tallies",
        sa.Column("sample_key", sa.String(64), nullable=False),
        sa.Column("scorer", sa.String(64), nullable=False),
        sa.Column("total", sa.Float(53), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("sample_key", "scorer", name="pk_tallies"),
        sa.ForeignKeyConstraint(
            ["sample_key"], ["samples.key"], name="fk_tallies_sample_key_samples", ondelete="CASCADE"
        ),
    )
    op.create_table(
        "prompt_tallies",
        sa.Column("prompt_set_id", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("scorer", sa.String(64), nullable=False),
        sa.Column("place", sa.Integer, nullable=False),
        sa.Column("total", sa.Float(53), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("prompt_set_id", "kind", "scorer", "place", name="pk_prompt_tallies"),
        sa.ForeignKeyConstraint(
            ["prompt_set_id"],
            ["prompt_sets.id"],
            name="fk_prompt_tallies_prompt_set_id_prompt_sets",
            ondelete="CASCADE",
        ),
    )
    op.create_table(
        "timings",
        sa.Column("run_id", sa.String(32), nullable=False),
        sa.Column("method", sa.Integer, nullable=False),
        sa.Column("first_prompt", sa.Integer, nullable=False),
        sa.Column("num_tokens", sa.Integer, nullable=False),
        sa.Column("seconds", sa.Float(53), nullable=False),
        sa.Column("peak_bytes", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("run_id", "method", "first_prompt", name="pk_timings"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_timings_run_id_runs", ondelete="CASCADE"),
    )
    op.create_table(
        "comparisons",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("created", sa.DateTime, nullable=False),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("record", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_comparisons"),
    )


def downgrade() -> None:
    for table in ("comparisons", "timings", "prompt_tallies", "tallies", "run_samples", "samples", "runs"):
        op.drop_table(table)
    op.drop_table("prompt_sets")
