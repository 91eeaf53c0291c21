"""Videos in S3-compatible storage, with a real server of its protocol (moto's) and the stock backend.

``pip install -e ".[s3]" && pytest tests/s3 --ds=tests.s3.settings``: a field's storage is chosen at start-up.
"""
