"""``muscletransfer demo``: the library's whole story on synthetic images, in a few minutes."""

from muscletransfer.demo.run import run_demo

__all__ = ["run_demo"]
