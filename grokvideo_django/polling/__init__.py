"""Asking the gateway: when (``schedule``), how often (``rate``), and how (``tick``)."""
