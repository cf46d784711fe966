"""One call in a plug-in's own tests that checks a contract, and says what to change.

Example:
    >>> from muscletransfer.testing import check_pretext_task
    >>> report = check_pretext_task("rotation")
    >>> report.subject, "gradients reach every parameter" in report.passed
    ('rotation', True)
"""

from muscletransfer.testing.encoders import check_encoder
from muscletransfer.testing.pretexts import check_pretext_task
from muscletransfer.testing.report import ContractReport
from muscletransfer.testing.tiny import TINY_ENCODER
from muscletransfer.testing.weights import check_weights

__all__ = [
    "TINY_ENCODER",
    "ContractReport",
    "check_encoder",
    "check_pretext_task",
    "check_weights",
]
