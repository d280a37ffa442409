"""The examples below the prompt."""

from typing import NamedTuple


class Example(NamedTuple):
    """A prompt that suits one method, and the choices for it."""

    prompt: str
    label: str
    lora: str | None = None
    attribute: str | None = None
    chat: bool = False

    @property
    def title(self) -> str:
        """The label of its button."""
        return f"{self.prompt.splitlines()[0]} · {self.label}"


EXAMPLES = (
    Example("The potato", "science words", attribute="science"),
    Example("My review: this film is", "positive words", attribute="positive"),
    Example("In a distant galaxy", "science fiction", lora="scifi", attribute="space"),
    Example("The sea is", "verse", lora="poetry"),
    Example("Question: What is the capital of Peru?\nAnswer:", "a fact", attribute="science"),
    Example("The painting shows", "religious words", attribute="religion"),
    Example("Describe a walk through a city.", "chat, positive words", attribute="positive", chat=True),
)
