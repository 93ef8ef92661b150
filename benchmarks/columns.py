"""The columns of the reports that are measured, apart from what makes them: a measurement would pay its imports."""

from __future__ import annotations

from bulkpull.catalog import ColumnType
from bulkpull.conversion.messages import ColumnPlan

_WIDE_COLUMNS, _WIDE_NAME = 80, 100

COLUMNS = (
    ColumnPlan("PGAMpnId", ColumnType.STRING, identifier=True),
    ColumnPlan("SubscriptionId", ColumnType.GUID),
    ColumnPlan("SubscriptionStartDate", ColumnType.DATE),
    ColumnPlan("SubscriptionEndDate", ColumnType.DATE),
    ColumnPlan("FirstUseDate", ColumnType.DATETIME),
    ColumnPlan("SubscriptionState", ColumnType.STRING),
    ColumnPlan("Month", ColumnType.MONTH),
    ColumnPlan("ServiceName", ColumnType.STRING),
    ColumnPlan("MeterCategory", ColumnType.STRING),
    ColumnPlan("UsageUnits", ColumnType.DECIMAL),
    ColumnPlan("UsageQuantity", ColumnType.INT),
    ColumnPlan("CustomerName", ColumnType.STRING),
    ColumnPlan("CustomerTenantId", ColumnType.GUID),
    ColumnPlan("CustomerTpid", ColumnType.STRING, identifier=True),
    ColumnPlan("CustomerMarket", ColumnType.STRING),
    ColumnPlan("IsACRDuplicateAtPGALevel", ColumnType.BOOL),
    ColumnPlan("MonthlySubscriptionLevelACR", ColumnType.DECIMAL),
)
WIDE_COLUMNS = tuple(
    ColumnPlan(f"Column{number:02}".ljust(_WIDE_NAME, "x"), ColumnType.STRING) for number in range(_WIDE_COLUMNS)
)
