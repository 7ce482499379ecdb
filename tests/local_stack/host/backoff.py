"""The polling delay of an idle queue: the WebJobs SDK's random back-off.

Source: RandomizedExponentialBackoffStrategy.cs of https://github.com/Azure/azure-webjobs-sdk.
"""

import random

MINIMUM_SECONDS = 0.1
RANDOMIZATION = 0.2


class Backoff:
    """The delays of one listener; they grow to a maximum and then reset."""

    def __init__(self, maximum: float) -> None:
        self._maximum = maximum
        self._exponent = 0
        self._found = False

    def reset(self) -> None:
        """Begin again: a message was there."""
        self._found = True

    def next_delay(self) -> float:
        """Return the seconds until the next poll of the queue."""
        if self._found:
            self._found, self._exponent = False, 1
            return min(MINIMUM_SECONDS, self._maximum)
        increment = MINIMUM_SECONDS * 2 ** (self._exponent - 1) if self._exponent else 0.0
        delay = MINIMUM_SECONDS + increment * random.uniform(1 - RANDOMIZATION, 1 + RANDOMIZATION)
        if delay >= self._maximum:
            return self._maximum
        self._exponent += 1
        return delay
