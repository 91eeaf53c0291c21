"""Generate videos with Grok Imagine Video inside Django: durable jobs, credits, attached results."""

__version__ = "0.1.0"
