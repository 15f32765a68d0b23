"""How alembic reaches the database: in the transaction that `orchestrator.store.schema.migrations` began."""

from __future__ import annotations

from alembic import context

from orchestrator.store.schema.partial_indexes import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transactional_ddl=True,
    user_module_prefix="",
)
with context.begin_transaction():
    context.run_migrations()
