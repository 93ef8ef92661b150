"""Conversion plan of each column, from the catalog and from the types of earlier snapshots (pure)."""

from __future__ import annotations

from bulkpull.catalog import Catalog, CatalogColumn, ColumnType
from bulkpull.conversion.messages import ColumnPlan
from bulkpull.model import Pull
from bulkpull.output.manifest import DatasetRecord
from bulkpull.pipeline.publication.type_merge import empty_columns, known_formats, known_types


def plan_columns(pull: Pull, *, catalog: Catalog, earlier: DatasetRecord | None) -> list[ColumnPlan]:
    """
    The columns of a pull, in the order of its query.

    Args:
        earlier: The snapshot whose types and date forms hold for this one too; `None` for none.
    """
    published = {name.casefold(): kind for name, kind in known_types(earlier).items()}
    formats = {name.casefold(): form for name, form in known_formats(earlier).items()}
    empty = empty_columns(earlier)
    plans: list[ColumnPlan] = []
    for name in pull.columns:
        column = _documented(name, pull, catalog=catalog)
        plans.append(
            ColumnPlan(
                name=name,
                declared=column.parquet_type if column else ColumnType.STRING,
                identifier=column.identifier if column else False,
                aliases=(column.name, *column.aliases) if column else (),
                published_type=published.get(name.casefold()),
                published_empty=name.casefold() in empty,
                published_format=formats.get(name.casefold()),
                amount=name in pull.metrics,
                flag_words=getattr(column, "values", ()),
            )
        )
    return plans


def _documented(name: str, pull: Pull, *, catalog: Catalog) -> CatalogColumn | None:
    """What the catalog says of a selected name; a metric that it does not know is a number by its nature."""
    known = catalog.find(pull.reads)
    if name not in pull.metrics:
        return known.column(name) if known else None
    metric = known.metric(name) if known else None
    return CatalogColumn(metric.name, metric.type) if metric else catalog.metric(name)
