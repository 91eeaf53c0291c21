"""The tables: requests and their events, the ledger, the gateway's state, planned files."""

from .files import PlannedFile
from .gateway import GatewayState
from .ledger import CreditAccount, CreditDraw, CreditEntry, CreditGrant
from .requests import VideoRequest, VideoRequestEvent

__all__ = [
    "CreditAccount",
    "CreditDraw",
    "CreditEntry",
    "CreditGrant",
    "GatewayState",
    "PlannedFile",
    "VideoRequest",
    "VideoRequestEvent",
]
