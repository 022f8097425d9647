"""ECS: how many tasks a service runs, of which task definition, and its scaler."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from turnback.aws.clients import aws_errors, client
from turnback.errors import AwsError

# One page of ListTaskDefinitions; a release older than this many deployments is not found.
REVISIONS = 100
RELEASE_TAG = "turnback:release"


class EcsService:
    """One service of ECS, with the scaler that Application Auto Scaling may have for it."""

    def __init__(self, cluster: str, service: str) -> None:
        self._which = {"cluster": cluster, "service": service}
        self._target = {
            "ServiceNamespace": "ecs",
            "ResourceId": f"service/{cluster}/{service}",
            "ScalableDimension": "ecs:service:DesiredCount",
        }
        self._name = f"{cluster}/{service}"
        self._ecs = client("ecs")
        self._scaling = client("application-autoscaling")

    def describe(self) -> dict[str, Any]:
        """``desired``, ``running`` (pending ones too), ``task_definition``, ``controller``.

        Raises:
            AwsError: there is no such active service, or it is a daemon without a desired count.
        """
        with aws_errors(f"describe the ECS service {self._name}"):
            answer = self._ecs.describe_services(
                cluster=self._which["cluster"], services=[self._which["service"]]
            )
        active = [row for row in answer["services"] if row["status"] == "ACTIVE"]
        if not active:
            raise AwsError(
                f"there is no active ECS service {self._name}",
                hint="correct the parameter EcsServices: cluster/service",
            )
        service = active[0]
        if service.get("schedulingStrategy") == "DAEMON":
            raise AwsError(
                f"the ECS service {self._name} is a daemon: it has no desired count to set to 0",
                hint="stop it with the emergency hook instead",
            )
        return {
            "desired": int(service["desiredCount"]),
            "running": int(service["runningCount"]) + int(service["pendingCount"]),
            "task_definition": str(service["taskDefinition"]),
            "controller": str((service.get("deploymentController") or {}).get("type") or "ECS"),
        }

    def set_desired(self, desired: int, task_definition: str | None = None) -> None:
        """Set the number of tasks, and the task definition if one is given."""
        change = {"taskDefinition": task_definition} if task_definition else {}
        with aws_errors(f"set the ECS service {self._name} to {desired} tasks"):
            self._ecs.update_service(**self._which, desiredCount=desired, **change)

    def scaling(self) -> dict[str, bool] | None:
        """Which parts of its scaler are suspended; None without a scaler."""
        with aws_errors(f"describe the scaler of the ECS service {self._name}"):
            found = self._scaling.describe_scalable_targets(
                ServiceNamespace="ecs",
                ResourceIds=[self._target["ResourceId"]],
                ScalableDimension=self._target["ScalableDimension"],
            )["ScalableTargets"]
        if not found:
            return None
        now = found[0].get("SuspendedState") or {}
        names = (
            "DynamicScalingInSuspended",
            "DynamicScalingOutSuspended",
            "ScheduledScalingSuspended",
        )
        return {name: bool(now.get(name)) for name in names}

    def set_scaling(self, suspended: Mapping[str, bool]) -> None:
        """Suspend or resume the scaler; its limits do not change."""
        with aws_errors(f"change the scaler of the ECS service {self._name}"):
            self._scaling.register_scalable_target(**self._target, SuspendedState=dict(suspended))

    def tagged(self, task_definition: str, release: str) -> str | None:
        """The newest active revision of the family that is tagged with this release.

        Args:
            task_definition: ARN of any revision of the family.
            release: the value of the tag ``turnback:release``.
        """
        family = task_definition.rpartition("/")[2].partition(":")[0]
        with aws_errors(f"look for the task definition of release {release}"):
            arns = self._ecs.list_task_definitions(
                familyPrefix=family, status="ACTIVE", sort="DESC", maxResults=REVISIONS
            )["taskDefinitionArns"]
            for arn in sorted(arns, key=_revision, reverse=True):
                tags = self._ecs.describe_task_definition(taskDefinition=arn, include=["TAGS"]).get(
                    "tags", []
                )
                if {"key": RELEASE_TAG, "value": release} in tags:
                    return str(arn)
        return None


def _revision(arn: str) -> int:
    return int(arn.rpartition(":")[2])
