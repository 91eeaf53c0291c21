"""Every transition of a request, one function each: a guarded UPDATE in one transaction with its event and its money.

Reaches no network and no queue. ``starting`` → ``submitting`` → ``reading`` → ``storing``; ``deciding`` is for people,
``site`` for the site as a whole.
"""
