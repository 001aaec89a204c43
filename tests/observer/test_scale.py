"""Many terminations among many pods, the watch broken off between: each is recorded once and rightly."""
import scale


def test_every_end_is_recorded_once(tmp_path):
    figures = scale.run(tmp_path, pods=2000, terminations=120, rate=60, drop=60)
    assert figures["recorded"] == figures["notified"] == 120
    assert figures["missing"] == figures["wrong"] == figures["unexpected"] == 0
    assert figures["again"] == 0
    assert figures["requests"]["watch"] > 1


def test_agents_without_a_watchdog_have_their_last_words(tmp_path):
    """A fifth of the pods, of which every fourth is deleted and its log gone with it; not so soon that a
    loaded machine gives the observer no time to ask for it."""
    figures = scale.run(tmp_path, pods=1000, terminations=120, rate=20, unwrapped=20, slow=6)
    assert figures["recorded"] == figures["notified"] == 120
    assert figures["missing"] == figures["wrong"] == figures["unexpected"] == 0
    assert 15 < figures["source_log"] and figures["without_last_words"] == figures["source_kubelet"] == 0
