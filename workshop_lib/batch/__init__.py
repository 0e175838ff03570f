"""The cascade by batch inference: a job for the first tier, another for what escalates; slower, at the batch price where there is one."""
