"""Known mistakes, recognised by the numbers they give."""

from refimpl.conformance.mistakes.catalogue import KNOWN, Known
from refimpl.conformance.mistakes.recognition import recognise

__all__ = ["KNOWN", "Known", "recognise"]
