"""What computes the sandbox's answers in place of language models."""
