"""What ``manage.py demo`` is made of: it starts everything that the example site needs, and stops all of it again."""
