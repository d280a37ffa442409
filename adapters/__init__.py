"""Everything that changes what the base model writes: LoRA, prefix tuning, PPLM, and the engine that decodes them."""
