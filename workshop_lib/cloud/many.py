"""The state machine for many tickets: the machine for one, as the item processor of a distributed Map."""

from typing import Any

from workshop_lib.cloud.definition import machine

CONCURRENCY = 40
TOLERATED_PERCENT = 10.0  # moto reads a number with a point only


def many_tickets() -> dict[str, Any]:
    """Return the definition; its input names a file of tickets in the deployment's bucket, a JSON array: {"key"}."""
    one = machine("ticket")
    return {
        "Comment": "Many tickets: a JSON array in S3, each through the cascade on its own. Written from ticket.asl.json by `workshop cloud render`.",
        "StartAt": "EachTicket",
        "States": {
            "EachTicket": {
                "Type": "Map",
                "Comment": "A child execution for each ticket. Express ones are billed by time, standard ones by the transition.",
                "ItemReader": {
                    "Resource": "arn:aws:states:::s3:getObject",
                    "ReaderConfig": {"InputType": "JSON"},
                    "Parameters": {"Bucket": "${TicketsBucket}", "Key.$": "$.key"},
                },
                "ItemSelector": {"ticket.$": "$$.Map.Item.Value"},
                "MaxConcurrency": CONCURRENCY,
                "ToleratedFailurePercentage": TOLERATED_PERCENT,
                "ItemProcessor": {
                    "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "${ChildExecutionType}"},
                    "StartAt": one["StartAt"],
                    "States": one["States"],
                },
                "ResultWriter": {
                    "Resource": "arn:aws:states:::s3:putObject",
                    "Parameters": {"Bucket": "${TicketsBucket}", "Prefix": "results"},
                },
                "End": True,
            }
        },
    }
