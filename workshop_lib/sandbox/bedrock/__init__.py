"""Bedrock Runtime on the wire: addresses, errors, Converse and its event stream."""
