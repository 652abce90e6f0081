"""An embedder without a model, for tests that say themselves what is alike."""

import asyncio
from collections.abc import Sequence

import numpy as np

from buddies_core.finding.embedder import DIMENSIONS, ModelUnavailable, Vectors

MEANINGS = {"database": 0, "postgresql": 0, "colour": 1, "blue": 1, "deploy": 2, "release": 2}


class ToyEmbedder:
    """Knows three meanings; the vector of a text says which of them its words have."""

    def __init__(self, model_id: bytes = b"toy" + bytes(29)) -> None:
        self.model_id = model_id
        self.dimensions = DIMENSIONS
        self.knows_spaceless = False
        self.noise = 0.0
        self.texts: list[str] = []
        self.free = asyncio.Event()
        self.free.set()
        self.failure: ModelUnavailable | None = None

    async def embed(self, texts: Sequence[str]) -> Vectors:
        await self.free.wait()
        if self.failure:
            raise self.failure
        self.texts += texts
        rows = [self.vector(text) for text in texts]
        return np.stack(rows) if rows else np.empty((0, DIMENSIONS), np.float32)

    def vector(self, text: str) -> Vectors:
        vector = np.zeros(DIMENSIONS, np.float32)
        vector[DIMENSIONS - 1] = 0.1
        for word in text.lower().split():
            if word in MEANINGS:
                vector[MEANINGS[word]] = 1
        norm: np.float32 = np.linalg.norm(vector)
        return vector / norm
