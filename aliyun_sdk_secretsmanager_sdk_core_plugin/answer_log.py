"""Holds back what aliyun-python-sdk-core logs about an error until it is known whether the call is sent again."""

import logging
import threading
from typing import Any, Callable, List, Optional

_RECORDS = "_managed_credentials_records"


class AnswerLog(logging.Filter):
    """A filter of the SDK's logger. It stops only the records that are logged within ``held_back``, in that thread.

    Args:
        logger: the SDK's logger.
    """

    def __init__(self, logger: logging.Logger) -> None:
        super().__init__()
        self._logger = logger
        self._held = threading.local()
        logger.filters.insert(0, self)  # the program's filters then see a record once, when it is really logged

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep ``record`` within ``held_back``; let it pass otherwise."""
        held: Optional[List[logging.LogRecord]] = getattr(self._held, "records", None)
        if held is None:
            return True
        held.append(record)
        return False

    def held_back(self, make_error: Callable[..., Optional[Exception]], *answer: Any) -> Optional[Exception]:
        """Call ``make_error`` and hold back what it logs.

        Args:
            make_error: the SDK's function that turns an answer into an error, and logs that.
            answer: its arguments.

        Returns:
            The error, which keeps the records for ``write``. If there is none, the records are logged now.
        """
        former = getattr(self._held, "records", None)
        records: List[logging.LogRecord] = []
        self._held.records = records
        error = None
        try:
            error = make_error(*answer)
            return error
        finally:
            self._held.records = former
            if error is None:
                self._write(records)
            else:
                vars(error)[_RECORDS] = records

    def write(self, error: Exception) -> None:
        """Log what was held back about ``error``. A second call logs nothing."""
        self._write(vars(error).pop(_RECORDS, []))

    def _write(self, records: List[logging.LogRecord]) -> None:
        for record in records:
            self._logger.handle(record)
