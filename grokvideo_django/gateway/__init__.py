"""The gateway's HTTP API: typed orders and jobs, one tree of errors, one client. No Django in here."""

from .client import GatewayClient
from .errors import AccountRefused, AnswerLost, GatewayError, JobNotFound, NotAccepted, RequestRefused, ServerFault
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
    "VideoOrder",
    "parse_job",
    "parse_rate_limit",
    "parse_retry_after",
]
