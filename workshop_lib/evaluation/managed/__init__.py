"""Managed evaluation: a sample of answers as a dataset of Bedrock model evaluation, the job's request, its results, and the same judging done here.

`records` and `job` import neither numbers nor tables, as the deployed functions use them too.
"""
