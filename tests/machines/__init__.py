"""Two hosts of workers, one PostgreSQL, one Redis, one bucket: real network namespaces, one of which is cut off.

``pip install -e '.[s3]' && pytest tests/machines --ds=tests.machines.settings``, as root, with iproute2 and PostgreSQL.
"""
