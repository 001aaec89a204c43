"""Tests see the signals as a login shell's children do, whatever the parent process ignores or
blocks: `make test &` and nohup ignore SIGINT and SIGHUP, some CI runners others."""
import signal

# Python itself ignores these two and restores them in its children.
PYTHONS_OWN = {signal.SIGPIPE, signal.SIGXFSZ}


def restore():
    """Gives every signal that is ignored its default action, and blocks none."""
    for number in signal.valid_signals() - PYTHONS_OWN - {signal.SIGKILL, signal.SIGSTOP}:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT
                          else signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
