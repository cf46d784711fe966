"""Old names and arguments: a warning with the way out, and a version in which they go.

Whatever is marked here says since when it is deprecated and in which version it is removed, and is
kept in a list. A test compares the list with the version of the package, so that nothing outlives
its removal.

Example:
    >>> @deprecated(since="0.2", removal="0.4", instead="new_name")
    ... def old_name() -> int:
    ...     return 1
    >>> import warnings
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     old_name()
    1
    >>> print(caught[0].message)
    The function old_name is deprecated since 0.2 and will be removed in 0.4. Use new_name instead.
    >>> [entry.name for entry in overdue("0.4", [old_name.__deprecation__])]
    ['old_name']
"""

from muscletransfer.deprecation.decorators import (
    current_arguments,
    deprecated,
    deprecated_argument,
)
from muscletransfer.deprecation.names import deprecated_names
from muscletransfer.deprecation.record import (
    DeprecatedUseWarning,
    Deprecation,
    overdue,
    registered_deprecations,
)

__all__ = [
    "DeprecatedUseWarning",
    "Deprecation",
    "current_arguments",
    "deprecated",
    "deprecated_argument",
    "deprecated_names",
    "overdue",
    "registered_deprecations",
]
