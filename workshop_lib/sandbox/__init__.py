"""The loopback server that speaks Bedrock Runtime and OpenAI chat completions, with stand-ins for the models."""
