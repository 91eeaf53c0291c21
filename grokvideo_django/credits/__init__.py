"""The only writer of the ledger. It knows no request, only keys.

Every verb is one transaction, safe to repeat with the same key, and refuses nonsense with its own exception. On every
database: the account's conditional UPDATE first, then its grants, and only then the INSERTs (an INSERT first takes a
shared lock through its foreign key and deadlocks on MariaDB).
"""

from .allowances import issue_due
from .budgets import Ceiling, ceilings
from .grants import expire, expire_due, grant, void
from .holds import capture, find, hold, release
from .refunds import refund

__all__ = [
    "Ceiling",
    "capture",
    "ceilings",
    "expire",
    "expire_due",
    "find",
    "grant",
    "hold",
    "issue_due",
    "refund",
    "release",
    "void",
]
