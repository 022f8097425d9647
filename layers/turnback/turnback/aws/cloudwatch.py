"""CloudWatch: the newest values of metrics."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from turnback.aws.clients import aws_errors, client

# RDS reports credits each five minutes, and balances each minute or five (RDS User Guide, "Amazon
# CloudWatch metrics for Amazon RDS"); a value may come late.
_PERIOD_S = 300
_BACK = timedelta(minutes=20)


class InstanceMetrics:
    """The metrics of an instance of RDS."""

    def __init__(self, identifier: str) -> None:
        self._identifier = identifier
        self._cloudwatch = client("cloudwatch", patient=False)

    def newest(self, names: Iterable[str]) -> dict[str, float]:
        """The newest value of each metric that the instance has.

        Raises:
            AwsError: CloudWatch does not answer.
        """
        asked = {f"m{number}": name for number, name in enumerate(names)}
        now = datetime.now(UTC)
        with aws_errors(f"read the metrics of {self._identifier}"):
            answer = self._cloudwatch.get_metric_data(
                MetricDataQueries=[
                    {"Id": one, "MetricStat": self._stat(name)} for one, name in asked.items()
                ],
                StartTime=now - _BACK,
                EndTime=now,
                ScanBy="TimestampDescending",
            )
        return {
            asked[found["Id"]]: float(found["Values"][0])
            for found in answer["MetricDataResults"]
            if found["Values"]
        }

    def _stat(self, name: str) -> dict[str, object]:
        dimension = {"Name": "DBInstanceIdentifier", "Value": self._identifier}
        metric = {"Namespace": "AWS/RDS", "MetricName": name, "Dimensions": [dimension]}
        return {"Metric": metric, "Period": _PERIOD_S, "Stat": "Average"}
