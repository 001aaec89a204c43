"""Rules of diagnosis of one's own: as flags of the watchdog, they decide what a report says."""
CLASSIC = ("--mode", "classic", "--restart-policy", "Never")


def test_a_rule_decides(pod):
    watch = pod.watch(*CLASSIC, "--rule", 'start 95 quota from "team quota of *: #"')
    pod.run("sh", "-c", "echo 'Team quota of red: 12 is used up'; echo 'error: bye'; exit 1")
    line = watch.next()
    assert (line["error_type"], line["detail"]) == ("Dependency", "quota")
    assert line["summary"].endswith("Team quota of red: 12 is used up")


def test_without_a_detail_there_is_no_word(pod):
    watch = pod.watch(*CLASSIC)
    pod.run("sh", "-c", "echo 'error: no plan'; exit 1")
    line = watch.next()
    assert line["error_type"] == "Error" and "detail" not in line


def test_a_bad_rule_is_said_and_left_out(pod):
    watch = pod.watch(*CLASSIC, "--rule", 'any 80 - line "abc"')
    pod.run("sh", "-c", "echo 'error: no plan'; exit 1")
    assert watch.next()["error_type"] == "Error" and watch.ended() == 0
    assert "4 literal bytes" in watch.errors
