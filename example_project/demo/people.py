"""Who can log in, and with what."""

from typing import Final

ADMIN: Final = "admin"
EDITOR: Final = "editor"
PASSWORD: Final = "demo"  # it opens a site that only this machine can reach
CREDITS: Final = 500
