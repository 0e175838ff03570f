"""Batch jobs: the operations of Bedrock's control plane for them, over a local S3."""
