"""Lambda functions of others: how many invocations they may have at once."""

from __future__ import annotations

from turnback.aws.clients import client, telling


class ReservedConcurrency:
    """The concurrency that is reserved for one function: 0 lets no invocation begin."""

    def __init__(self, function: str) -> None:
        self._function = function
        self._lambda = client("lambda")

    def reserved(self) -> int | None:
        """The number; None where nothing is reserved and the account's pool is the limit."""
        with telling(f"read the reserved concurrency of {self._function}"):
            answer = self._lambda.get_function_concurrency(FunctionName=self._function)
        number = answer.get("ReservedConcurrentExecutions")
        return None if number is None else int(number)

    def timeout_s(self) -> int:
        """How long an invocation that has begun may go on, seconds."""
        with telling(f"read the timeout of {self._function}"):
            answer = self._lambda.get_function_configuration(FunctionName=self._function)
        return int(answer["Timeout"])

    def reserve(self, number: int | None) -> None:
        """Reserve this many; None reserves nothing again."""
        with telling(f"set the reserved concurrency of {self._function}"):
            if number is None:
                self._lambda.delete_function_concurrency(FunctionName=self._function)
            else:
                self._lambda.put_function_concurrency(
                    FunctionName=self._function, ReservedConcurrentExecutions=number
                )
