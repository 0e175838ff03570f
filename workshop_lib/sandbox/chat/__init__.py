"""OpenAI chat completions on the wire, as NIM and Bedrock's /openai route speak them."""
