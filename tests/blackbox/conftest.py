import pytest

from webhook_process import ROOT, Webhook

DATA = ROOT / "tests/data"


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
