"""New packages that plug in: ``muscletransfer new pretext NAME`` writes one, ready to run."""

from muscletransfer.scaffold.names import PluginNames
from muscletransfer.scaffold.writing import write_pretext_package

__all__ = ["PluginNames", "write_pretext_package"]
