"""A real OpenStack Swift on loopback for the tests: four daemons, one folder, no root."""
from .launch import SwiftServer, swift_python

__all__ = ["SwiftServer", "swift_python"]
