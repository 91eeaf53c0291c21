"""The gateway's HTTP API: typed orders and jobs, one tree of errors, one client. No Django in here."""

from .balance import parse_balance
from .client import GatewayClient, sent_tag
from .errors import AccountRefused, AnswerLost, GatewayError, JobNotFound, NotAccepted, RequestRefused, ServerFault
from .usage import TagUsage
from .wire import Job, JobError, JobState, RateLimit, VideoOrder, parse_job, parse_rate_limit, parse_retry_after

__all__ = [
    "AccountRefused",
    "AnswerLost",
    "GatewayClient",
    "GatewayError",
    "Job",
    "JobError",
    "JobNotFound",
    "JobState",
    "NotAccepted",
    "RateLimit",
    "RequestRefused",
    "ServerFault",
    "TagUsage",
    "VideoOrder",
    "parse_balance",
    "parse_job",
    "parse_rate_limit",
    "parse_retry_after",
    "sent_tag",
]
