"""Many terminations among many pods, the watch broken off between: each is recorded once and rightly."""
import scale


def test_every_end_is_recorded_once(tmp_path):
    figures = scale.run(tmp_path, pods=2000, terminations=120, rate=60, drop=60)
    assert figures["recorded"] == figures["notified"] == 120
    assert figures["missing"] == figures["wrong"] == figures["unexpected"] == 0
    assert figures["again"] == 0
    assert figures["requests"]["watch"] > 1
