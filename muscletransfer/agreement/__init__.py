"""How well two sets of measurements agree: Bland-Altman, ICC(2,1), relative error."""

from muscletransfer.agreement.bland_altman import BlandAltman, bland_altman
from muscletransfer.agreement.bootstrap import Estimate, patient_bootstrap
from muscletransfer.agreement.icc import IntraclassCorrelation, icc2_1
from muscletransfer.agreement.relative import RelativeError, relative_error

__all__ = [
    "BlandAltman",
    "Estimate",
    "IntraclassCorrelation",
    "RelativeError",
    "bland_altman",
    "icc2_1",
    "patient_bootstrap",
    "relative_error",
]
