"""What the tests of all folders share."""
import default_signals

default_signals.restore()
