"""Pictures by URL, from whoever asks: fetched without harm to the network that this runs in.

Gateway and client share it; `docs/media.md` says what is refused.
"""

from .errors import BadMedia
from .fetcher import Fetcher
from .limits import Limits
from .policy import Policy, Rest

__all__ = ["BadMedia", "Fetcher", "Limits", "Policy", "Rest"]
