"""Keep a lab's views upon the tables and views of benchfleet, while the schema changes.

PostgreSQL refuses to drop a view under other views. The lab's views are then put aside, and made again in the same
transaction: with owner, options, grants and comments. SQLite looks a view's names up at each query, and needs no help.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter

from sqlalchemy import Connection, bindparam, text
from sqlalchemy.exc import DBAPIError

from orchestrator.domain.errors import StoreError
from orchestrator.store.schema.tables import metadata
from orchestrator.store.schema.views import VIEWS

_IN_THE_WAY = ("2BP01", "0A000")
"""The SQLSTATEs of a change that others stand in the way of: of a drop, and of another type for a column."""
_NO_SUCH_COLUMN = "42703"
_FORMER = ("v_env_changes",)
"""The views of older revisions that have another name by now."""
_OWN = frozenset({"alembic_version", *metadata.tables, *_FORMER, *(view.name for view in VIEWS)})


@dataclass(frozen=True, slots=True)
class _View:
    """Hold a view, with the statements for making the view again.

    `kind` is PostgreSQL's letter: v for a view, m for a materialised view. `has_more` stands for
    triggers, rules and defaults of columns, none of which is made again.
    """

    oid: int
    name: str
    kind: str
    has_more: bool
    definition: str
    creation: Sequence[str]
    grants: Sequence[str]


def change_beneath(connection: Connection, change: Callable[[], None]) -> None:
    """Change the schema, and keep the views of others built upon the schema. A refused change is tried once more.

    Raise StoreError, with the definition, for a hindering view without a way to be kept.
    """
    if connection.dialect.name != "postgresql":
        change()
        return
    before = _views(connection, _own_oids(connection))
    _change_beneath(connection, change)
    for view in before:
        _grant_again(connection, view)


def _change_beneath(connection: Connection, change: Callable[[], None]) -> None:
    """Change the schema, and put the views of others aside for a second try if they stand in the way."""
    try:
        # Tried first: most changes have nothing in their way, and what needs not be touched is not.
        with connection.begin_nested():
            change()
    except DBAPIError as error:
        if _sqlstate(error) not in _IN_THE_WAY:
            raise
    else:
        return
    views = _views_of_others(connection)
    for view in reversed(views):
        if view.kind != "v" or view.has_more:
            raise _stands_in_the_way(view, "only plain views are kept by themselves")
        _try(connection, view, "cannot be put aside", [f"DROP VIEW {view.name}"])
    try:
        change()
    except DBAPIError as error:
        if _sqlstate(error) not in _IN_THE_WAY:
            raise
        raise StoreError(
            f"something else is built upon the views of benchfleet: {_said(error)}",
            "nothing has changed: drop what stands there, upgrade, and make it again",
        ) from None
    for view in views:
        _try(connection, view, "does not fit the new schema", view.creation)
        # Defaults of the database may have granted something else to a new view.
        revokes = connection.execute(_REVOKES, {"name": view.name}).scalars().all()
        _try(connection, view, "cannot be granted again", [*revokes, *view.grants])


def _grant_again(connection: Connection, view: _View) -> None:
    """Give a view of ours the grants back that a lab made, such as those of a dashboard's user, if made anew."""
    now = connection.execute(_OID, {"name": view.name}).scalar_one()
    if now is None or now == view.oid:
        return
    for statement in view.grants:
        try:
            with connection.begin_nested():
                connection.exec_driver_sql(statement, execution_options={"no_parameters": True})
        except DBAPIError as error:
            if _sqlstate(error) != _NO_SUCH_COLUMN:  # a grant of a column that the new view has not is over
                raise


def _try(connection: Connection, view: _View, why_not: str, statements: Sequence[str]) -> None:
    try:
        for statement in statements:
            # Without parameters, a % in the statement is a % to the driver too.
            connection.exec_driver_sql(statement, execution_options={"no_parameters": True})
    except DBAPIError as error:
        raise _stands_in_the_way(view, f"{why_not}: {_said(error)}") from None


def _stands_in_the_way(view: _View, why: str) -> StoreError:
    kind = "MATERIALIZED VIEW" if view.kind == "m" else "VIEW"
    return StoreError(
        f"{view.name} is built upon the tables and views of benchfleet, and {why}",
        f"nothing has changed: keep the definition, DROP {kind} {view.name}, upgrade, and make it again:\n"
        f"CREATE {kind} {view.name} AS\n{view.definition}",
    )


def _sqlstate(error: DBAPIError) -> str | None:
    return getattr(error.orig, "sqlstate", None)


def _said(error: DBAPIError) -> str:
    """Return the server's words, with the detail: the dependants of a refused drop."""
    diag = getattr(error.orig, "diag", None)
    said = (getattr(diag, "message_primary", None), getattr(diag, "message_detail", None))
    return "; ".join(" ".join(part.split()) for part in said if part)


def _views_of_others(connection: Connection) -> list[_View]:
    """Return the views built upon our tables and views, directly or through others, in the order of creation."""
    below: dict[int, set[int]] = {}
    for upper, lower in connection.execute(_EDGES):
        below.setdefault(upper, set()).add(lower)
    own = set(_own_oids(connection))
    found: list[int] = []
    reached = set(own)
    # A view may be older than one that it reads: CREATE OR REPLACE keeps the oid.
    for oid in TopologicalSorter(below).static_order():
        if oid not in own and below.get(oid, set()) & reached:
            reached.add(oid)
            found.append(oid)
    return _views(connection, found)


def _own_oids(connection: Connection) -> list[int]:
    """Return the oids of our tables and views, as far as the schema has them."""
    found = connection.execute(_OWN_OIDS, {"names": sorted(_OWN)}).scalars()
    return [oid for oid in found if oid is not None]


def _views(connection: Connection, oids: Sequence[int]) -> list[_View]:
    """Return the views among relations, in the order of `oids`."""
    rows = {row.oid: row for row in connection.execute(_VIEWS, {"oids": oids})} if oids else {}
    return [_View(*rows[oid]) for oid in oids if oid in rows and rows[oid].relkind in ("v", "m")]


_EDGES = text(
    """
SELECT DISTINCT rewrite.ev_class, depend.refobjid
FROM pg_depend AS depend
JOIN pg_rewrite AS rewrite ON rewrite.oid = depend.objid
WHERE depend.classid = 'pg_rewrite'::regclass AND depend.refclassid = 'pg_class'::regclass
  AND rewrite.rulename = '_RETURN' AND rewrite.ev_class <> depend.refobjid
"""
)
_OID = text("SELECT to_regclass(:name)::oid")
_OWN_OIDS = text("SELECT to_regclass(name)::oid FROM unnest(CAST(:names AS text[])) AS name")
# The server quotes all names and texts. `creation` and `grants` are arrays of statements.
_VIEWS = text(
    """
SELECT
    view.oid, named.name, view.relkind::text AS relkind,
    EXISTS (SELECT FROM pg_trigger WHERE tgrelid = view.oid)
        OR EXISTS (SELECT FROM pg_attrdef WHERE adrelid = view.oid)
        OR EXISTS (SELECT FROM pg_rewrite WHERE ev_class = view.oid AND rulename <> '_RETURN'),
    pg_get_viewdef(view.oid),
    ARRAY[
        'CREATE VIEW ' || named.name
        || ' (' || (SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum)
                    FROM pg_attribute WHERE attrelid = view.oid AND attnum > 0) || ')'
        || coalesce(' WITH (' || array_to_string(view.reloptions, ', ') || ')', '')
        || ' AS ' || pg_get_viewdef(view.oid)
    ] || CASE WHEN pg_get_userbyid(view.relowner) = current_user THEN ARRAY[]::text[]
        ELSE ARRAY[format('ALTER VIEW %s OWNER TO %I', named.name, pg_get_userbyid(view.relowner))] END
    || ARRAY(
        SELECT CASE objsubid WHEN 0 THEN format('COMMENT ON VIEW %s IS %L', named.name, description)
            ELSE format('COMMENT ON COLUMN %s.%I IS %L', named.name, attname, description) END
        FROM pg_description
        LEFT JOIN pg_attribute ON attrelid = view.oid AND attnum = objsubid
        WHERE objoid = view.oid AND classoid = 'pg_class'::regclass
    ),
    ARRAY(
        SELECT format('GRANT %s ON %s TO %s', privilege_type, named.name,
            CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END)
            || CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END
        FROM aclexplode(coalesce(view.relacl, acldefault('r', view.relowner)))
    ) || ARRAY(
        SELECT format('GRANT %s (%I) ON %s TO %s', privilege_type, attname, named.name,
            CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END)
            || CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END
        FROM pg_attribute CROSS JOIN aclexplode(attacl)
        WHERE attrelid = view.oid
    )
FROM pg_class AS view
JOIN pg_namespace AS namespace ON namespace.oid = view.relnamespace
CROSS JOIN LATERAL (SELECT format('%I.%I', namespace.nspname, view.relname) AS name) AS named
WHERE view.oid IN :oids
"""
).bindparams(bindparam("oids", expanding=True))
_REVOKES = text(
    """
SELECT DISTINCT format('REVOKE ALL ON %s FROM %s', CAST(:name AS text),
    CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END)
FROM pg_class CROSS JOIN aclexplode(coalesce(relacl, acldefault('r', relowner)))
WHERE oid = to_regclass(:name)
"""
)
