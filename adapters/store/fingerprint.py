"""sha256 of everything that determines a text: base model, adapters as they run, word lists, methods."""

import json
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

from adapters.ask.instructions import instruction
from adapters.base_model import BaseModel
from adapters.methods import Attribute, Method, Request, Sampling, SteeringVector, to_json
from adapters.pplm.bags import words_of
from adapters.store.adapter_store import AdapterStore
from adapters.store.weight_cache import pieces, sha256

DECODING = 4  # raised whenever a release may write another text for the same request


class Fingerprints:
    """Hashes of one base model and of the adapters that are offered now."""

    def __init__(self, base: BaseModel, store: AdapterStore) -> None:
        self._base, self._store = base, store

    @cached_property
    def base(self) -> str:
        """Hash of every weight, its dtype, the kind of device, and the tokenizer's vocabulary."""
        kind = f"{DECODING} {self._base.device.type} {self._base.model.dtype}"
        vocabulary = json.dumps(sorted(self._base.tokenizer.get_vocab().items()))
        return sha256(kind, vocabulary, *pieces(self._base.model.state_dict().items()))

    def attribute(self, attribute: Attribute) -> str:
        """Hash of the words of a list, or of a discriminator and its class. Raises UserError for an unknown name."""
        if not attribute.is_discriminator:
            return sha256(*words_of(attribute))
        name, _, label = attribute.name.partition(":")
        found = self._store.discriminator(name)
        return sha256(label, *found.classes, *pieces([("weight", found.weight), ("bias", found.bias)]))

    def vector(self, vector: SteeringVector) -> str:
        """Hash of a steering vector. Raises UserError for an unknown name."""
        found = self._store.vector(vector.name)
        return sha256(found.layer, *pieces([("push", found.push)]))

    def method(self, method: Method) -> str:
        """Hash of everything that a method does to the base; its name does not count."""
        return sha256(json.dumps(self._parts(method), sort_keys=True))

    def requests(self, requests: Sequence[Request], sampling: Sampling) -> list[str]:
        """Hash of everything that determines the text of each request."""
        methods = {method: self._parts(method) for method in {request.method for request in requests}}
        shared = {"sampling": to_json(sampling)}
        own = ({"prompt": request.prompt, "seed": request.seed, "chat": request.chat} for request in requests)
        return [
            sha256(json.dumps(methods[request.method] | parts | shared, sort_keys=True))
            for request, parts in zip(requests, own, strict=True)
        ]

    def named(self, methods: Iterable[Method]) -> dict[str, str]:
        """Hashes of the base model and of each adapter and word list that the methods use, by name."""
        found = {"base": self.base}
        for method in methods:
            for kind, name in (("lora", method.lora), ("prefix", method.prefix)):
                if name is not None:
                    found[f"{kind}:{name}"] = self._store.find(name, kind).digest
            found |= {f"vector:{vector.name}": self.vector(vector) for vector in method.vectors}
            for name in (method.experts.expert, method.experts.against) if method.experts else ():
                if name is not None:
                    found[f"{self._store.find(name).kind}:{name}"] = self._store.find(name).digest
            if method.ask is not None and not method.ask.text:
                found[f"instruction:{method.ask.name}"] = sha256(instruction(method.ask))
            for attribute in method.attributes:
                kind = "discriminator" if attribute.is_discriminator else "words"
                found[f"{kind}:{attribute.name}"] = self.attribute(attribute)
        return found

    def _parts(self, method: Method) -> dict[str, Any]:
        parts: dict[str, Any] = {"base": self.base, "lora": None, "prefix": None, "steering": None}
        if method.lora is not None:
            parts["lora"] = [self._store.find(method.lora, "lora").digest, method.lora_scale]
        if method.prefix is not None:
            parts["prefix"] = self._store.find(method.prefix, "prefix").digest
        if method.vectors:  # else as in releases without vectors
            parts["vectors"] = [[self.vector(vector), vector.weight] for vector in method.vectors]
        if method.steering is not None:
            attributes = [[self.attribute(a), a.weight] for a in method.steering.attributes]
            parts["steering"] = to_json(method.steering) | {"attributes": attributes}
        # What came later stands there only where it is used: so the hashes of earlier releases remain.
        if (push := method.push) is not None:
            parts["push"] = to_json(push) | {"attributes": [[self.attribute(a), a.weight] for a in push.attributes]}
        if (ask := method.ask) is not None:
            parts["ask"] = [instruction(ask), ask.gamma, ask.negative]
        if (experts := method.experts) is not None:
            pair = [name and self._store.find(name).digest for name in (experts.expert, experts.against)]
            parts["experts"] = [*pair, experts.alpha]
        return parts
