"""Pods as large as an API server takes, among others: nobody's records depend on them, and neither
does the observer's memory. (A pod of 1.45 MB of `<` is printed as 8.7 MB.)"""
import scale

MIB = 2 ** 20
PODS = 2000 if "asan" in scale.BUILD.parts else 10_000


def run(tmp_path, name, **size):
    folder = tmp_path / name
    folder.mkdir()
    figures = scale.run(folder, pods=PODS, terminations=120, rate=60, **size)
    assert figures["recorded"] == figures["notified"] == 120
    assert figures["missing"] == figures["wrong"] == figures["unexpected"] == 0
    return figures


def test_the_largest_pods_harm_nobody(tmp_path):
    usual = run(tmp_path, "usual")["observers"][0]["peak_memory"]
    figures = run(tmp_path, "large", large=50, many_args=3, drop=100)
    assert figures["observers"][0]["peak_memory"] < usual * 1.25 + 6 * MIB
    # They are some pages of 500, though single ones had to be smaller.
    assert figures["requests"]["list"] < PODS / 500 + 36
    assert figures["again"] == 0
