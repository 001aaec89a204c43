import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from webhook_process import Webhook  # noqa: E402

DATA = pathlib.Path(__file__).resolve().parent.parent / "data"


@pytest.fixture(scope="module")
def start_webhook(tmp_path_factory):
    """start_webhook(config=TEXT, …): each one is stopped, and must stop well, at the module's end."""
    started = []

    def start(config=None, **options):
        if config is None:
            config = (DATA / "config/reviews.yaml").read_text().replace("MODE", "classic")
        webhook = Webhook(tmp_path_factory.mktemp("webhook"), config, **options)
        started.append(webhook)
        return webhook

    yield start
    for webhook in started:
        webhook.stop()


@pytest.fixture(scope="module")
def webhook(start_webhook):
    return start_webhook()
