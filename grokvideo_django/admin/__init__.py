"""The admin: plain pages over the models; whatever changes something calls ``services`` or ``credits``."""

from .budgets import AllowanceAdmin, BudgetAdmin
from .gateway import GatewayStateAdmin
from .ledger import CreditAccountAdmin, CreditEntryAdmin, CreditGrantAdmin
from .requests import VideoRequestAdmin

__all__ = [
    "AllowanceAdmin",
    "BudgetAdmin",
    "CreditAccountAdmin",
    "CreditEntryAdmin",
    "CreditGrantAdmin",
    "GatewayStateAdmin",
    "VideoRequestAdmin",
]
