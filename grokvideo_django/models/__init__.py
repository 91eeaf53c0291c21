"""The tables: requests and their events, the ledger, budgets, allowances, the gateway's state, planned files."""

from .allowances import Allowance
from .budgets import Budget, BudgetCounter, BudgetUse
from .events import VideoRequestEvent
from .files import PlannedFile
from .gateway import GatewayState
from .ledger import CreditAccount, CreditDraw, CreditEntry, CreditGrant
from .requests import VideoRequest

__all__ = [
    "Allowance",
    "Budget",
    "BudgetCounter",
    "BudgetUse",
    "CreditAccount",
    "CreditDraw",
    "CreditEntry",
    "CreditGrant",
    "GatewayState",
    "PlannedFile",
    "VideoRequest",
    "VideoRequestEvent",
]
