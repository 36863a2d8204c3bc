"""The work of the shop, one workflow per file."""

from __future__ import annotations

from examples.orders.workflows.ask_for_review import AskForReview, ReviewArgs
from examples.orders.workflows.book_points import BookPoints
from examples.orders.workflows.import_item import CatalogueItem, ImportItem
from examples.orders.workflows.process_order import Decision, OrderArgs, ProcessOrder
from examples.orders.workflows.publish_changelog import ChangelogArgs, PublishChangelog
from examples.orders.workflows.record_payment import Payment, RecordPayment
from examples.orders.workflows.reports import DailyReport, ReportArgs, SalesOverview
from examples.orders.workflows.ship import Ship
from examples.orders.workflows.sync_stock import SyncStock

__all__ = [
    "AskForReview",
    "BookPoints",
    "CatalogueItem",
    "ChangelogArgs",
    "DailyReport",
    "Decision",
    "ImportItem",
    "OrderArgs",
    "Payment",
    "ProcessOrder",
    "PublishChangelog",
    "RecordPayment",
    "ReportArgs",
    "ReviewArgs",
    "SalesOverview",
    "Ship",
    "SyncStock",
]
