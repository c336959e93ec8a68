"""What all routes share: the controller's client, the model's name, pictures, how tokens are
spelled."""

from __future__ import annotations

from collections.abc import Sequence

from ..client import AsyncClient
from ..client.media import BadMedia, Fetcher
from .errors import Problem
from .options import GatewayOptions
from .traffic import Traffic
from .vocabulary import Vocabulary


class House:
    """Belongs to the running loop."""

    def __init__(self, options: GatewayOptions) -> None:
        self.options = options
        self.client = AsyncClient(
            options.controller, timeout_s=options.limits.silent_s, keys=options.keys
        )
        self.vocabulary = Vocabulary(self.client)
        self.traffic = Traffic()
        self._fetcher = Fetcher(policy=options.media)

    async def close(self) -> None:
        await self._fetcher.close()
        await self.client.close()

    async def names(self) -> tuple[str, ...]:
        """Of the model; the first is its own."""
        return self.options.names or ((await self.client.greeting()).model,)

    async def check_model(self, name: str) -> None:
        """Raises Problem for a model that is not served here."""
        names = await self.names()
        if name not in names:
            shown = name if len(name) <= 80 and name.isprintable() else "another"
            sentence = f"expected the model {' or '.join(names)}, got {shown}"
            raise Problem(404, sentence, code="model_not_found", param="model")

    async def fetch(self, urls: Sequence[str], param: str) -> list[bytes]:
        """The pictures of one request; raises Problem, about the field `param`."""
        try:
            return await self._fetcher.fetch_all(urls)
        except BadMedia as error:
            raise Problem(error.status, str(error), code="invalid_image", param=param) from error
