"""sha256 of what determines a text: the base model, adapters, word lists, methods.

Knows tensors and names; knows nothing of files or of how texts come about. What is hashed is what runs (the tensors in
memory), not the files that it came from.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from adapters.base_model import BaseModel
from adapters.lora.rows import LoraWeights
from adapters.methods import Attribute, Method, Request, Sampling, to_json
from adapters.pplm.bags import words_of
from adapters.store.adapter_store import AdapterStore

DECODING = 4  # raised whenever a release may write another text for the same request


class Fingerprints:
    """The hashes of one base model and its adapters; each is computed when it is first asked for.

    Those of adapters are kept with the weights that they are of: a name may come to stand for other weights.
    """

    def __init__(self, base: BaseModel, store: AdapterStore) -> None:
        self._base, self._store = base, store
        self._loras: dict[str, tuple[LoraWeights, str]] = {}
        self._prefixes: dict[str, tuple[Tensor, str]] = {}

    @cached_property
    def base(self) -> str:
        """Of every weight, its dtype, the kind of device, and the tokenizer's vocabulary."""
        kind = f"{DECODING} {self._base.device.type} {self._base.model.dtype}"
        vocabulary = json.dumps(sorted(self._base.tokenizer.get_vocab().items()))
        return sha256(kind, vocabulary, *pieces(self._base.model.state_dict().items()))

    def lora(self, name: str) -> str:
        """Of a LoRA's matrices, scaling and gains. Raises UserError for an unknown name."""
        weights = self._store.lora(name)
        known, digest = self._loras.get(name, (None, ""))
        if known is not weights:
            named = ((f"{module}.{part}", t) for module, pair in weights.modules.items() for part, t in enumerate(pair))
            gains = ((f"{module}.gain", gain) for module, gain in weights.gains.items())
            digest = sha256(str(weights.scaling), *pieces(named), *pieces(gains))
            self._loras[name] = weights, digest
        return digest

    def prefix(self, name: str) -> str:
        """Of a prefix's keys and values. Raises UserError for an unknown name."""
        kv = self._store.prefix(name)
        known, digest = self._prefixes.get(name, (None, ""))
        if known is not kv:
            digest = sha256(*pieces([("prefix", kv)]))
            self._prefixes[name] = kv, digest
        return digest

    def attribute(self, attribute: Attribute) -> str:
        """Of the words of a list, or of a discriminator and its class. Raises UserError for an unknown name."""
        if not attribute.is_discriminator:
            return sha256(*words_of(attribute))
        name, _, label = attribute.name.partition(":")
        head = self._store.discriminator(name)
        return sha256(label, *head.classes, *pieces([("weight", head.weight), ("bias", head.bias)]))

    def method(self, method: Method) -> str:
        """Of everything a method does to the base; its name takes no part."""
        return sha256(json.dumps(self._parts(method), sort_keys=True))

    def request(self, request: Request, sampling: Sampling) -> str:
        """Of everything that determines the text of a request."""
        return self.requests([request], sampling)[0]

    def requests(self, requests: Sequence[Request], sampling: Sampling) -> list[str]:
        """The hashes of many requests; each method is hashed once."""
        methods = {method: self._parts(method) for method in {request.method for request in requests}}
        shared = {"sampling": to_json(sampling)}
        own = ({"prompt": request.prompt, "seed": request.seed, "chat": request.chat} for request in requests)
        return [
            sha256(json.dumps(methods[request.method] | parts | shared, sort_keys=True))
            for request, parts in zip(requests, own, strict=True)
        ]

    def named(self, methods: Iterable[Method]) -> dict[str, str]:
        """The hash of the base model, and of each adapter and word list that the methods use, by name."""
        found = {"base": self.base}
        for method in methods:
            if method.lora is not None:
                found[f"lora:{method.lora}"] = self.lora(method.lora)
            if method.prefix is not None:
                found[f"prefix:{method.prefix}"] = self.prefix(method.prefix)
            for attribute in method.steering.attributes if method.steering else ():
                kind = "discriminator" if attribute.is_discriminator else "words"
                found[f"{kind}:{attribute.name}"] = self.attribute(attribute)
        return found

    def _parts(self, method: Method) -> dict[str, Any]:
        steering = None
        if method.steering is not None:
            attributes = [[self.attribute(a), a.weight] for a in method.steering.attributes]
            steering = to_json(method.steering) | {"attributes": attributes}
        return {
            "base": self.base,
            "lora": None if method.lora is None else [self.lora(method.lora), method.lora_scale],
            "prefix": None if method.prefix is None else self.prefix(method.prefix),
            "steering": steering,
        }


def pieces(named: Iterable[tuple[str, Tensor]]) -> Iterable[str | bytes]:
    """Name, dtype, shape and bytes of each tensor."""
    for name, tensor in named:
        yield f"{name} {tensor.dtype} {tuple(tensor.shape)}"
        yield tensor.detach().contiguous().view(torch.uint8).cpu().numpy().tobytes()


def sha256(*parts: str | bytes) -> str:
    """Of the parts and where each ends, in hex."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8))
        digest.update(data)
    return digest.hexdigest()
