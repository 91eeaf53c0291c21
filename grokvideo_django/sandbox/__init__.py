"""A local gateway that behaves like the real one and renders real clips.

It knows no Django and nothing else of this app. ``docs/sandbox.md`` explains it; :class:`Sandbox` is its Python face.
"""

from grokvideo_django.sandbox.service import Accepted, Sandbox
from grokvideo_django.sandbox.world import Options

__all__ = ["Accepted", "Options", "Sandbox"]
