"""A job of CodePipeline: start its run, and answer for the run until it has ended."""

from typing import Any

from aws_lambda_powertools.utilities.data_classes.code_pipeline_job_event import (
    CodePipelineJobEvent,
)
from turnback.runs.pipeline.job import Job
from turnback.runtime import Wiring, count, entry, logger


@entry(failed=lambda wiring, error: wiring.jobs.fail_raised(wiring.event, error))
def handler(wiring: Wiring) -> dict[str, Any]:
    job = Job.read(CodePipelineJobEvent(dict(wiring.event)))
    logger.append_keys(job=job.id)
    answered = wiring.jobs.answer(job)
    logger.append_keys(run=answered.run)
    if answered.answer == "failure":
        logger.error(answered.text)
    count(f"jobs_{answered.answer}")
    return answered.to_state()
