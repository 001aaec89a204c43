/* lastword-watchdog: one program, four jobs. */
#include <stdio.h>
#include <string.h>

#include "watchdog/subcommands.h"
#include "watchdog/stderr_log.h"

static const char usage[] =
        "Usage: lastword-watchdog run [flags] -- COMMAND [ARGUMENT...]\n"
        "       lastword-watchdog watch [flags]\n"
        "       lastword-watchdog flush [flags] [-- HOOK [ARGUMENT...]]\n"
        "       lastword-watchdog install FILE\n"
        "\n"
        "run      executes the command and stays beside it: passes its output and signals on,\n"
        "         exits with its code, and tells the watchdog of its end\n"
        "  --name NAME            the container's name\n"
        "  --grace DURATION       between SIGTERM and SIGKILL when it is to be killed; default "
        "30s\n"
        "  --deadline DURATION    report when it runs longer\n"
        "  --on-deadline kill     and kill it\n"
        "  --silence-after DURATION  report when it prints nothing for so long\n"
        "  --on-silence kill      and kill it\n"
        "  --done-file FILE       create it at the end, with the exit code\n"
        "  --watchdog-uid UID     trust only a watchdog of this user\n"
        "  --wait DURATION        a command that ends sooner, with no watchdog there, waits for "
        "one\n"
        "watch    keeps the last output and prints a JSON line for each event; exits with 0\n"
        "  --mode native|classic  how Kubernetes runs it, and so when it ends; default native\n"
        "  --container NAME[=POLICY]  an agent's container, with its restart policy; repeat\n"
        "  --restart-policy POLICY    the pod's: Always, OnFailure, Never; default Always\n"
        "  --grace DURATION       the pod's termination grace period; default 30s\n"
        "  --start-timeout DURATION  classic: count on an agent that has not come by then no\n"
        "                         more; default 1m\n"
        "  --owner KIND/NAME, --context KEY=VALUE  go into the reports; context repeats\n"
        "  --redact PATTERN       take this out of reports too; repeat\n"
        "  --ring-size BYTES      of output kept for each container; default 65536\n"
        "  --tail BYTES           of it in a report; default 4096\n"
        "flush    the preStop hook: runs the wrapped one, then has a report printed\n"
        "  --name NAME, --grace DURATION  as above; waits at most min(1s, grace/10)\n"
        "  --signal SIGNAL        send it to the command first\n"
        "  --ping                 do nothing but exit with 0 if a watchdog answers, else with 1\n"
        "install  copies this program to FILE and tries the copy; gives up after 3s\n"
        "\n"
        "  --socket NAME          of run, watch, flush: another abstract socket than \"lastword\"\n"
        "  --help, --version\n";

static const struct {
	const char *name;
	int (*job)(int argc, char **argv);
} jobs[] = {
        {"run", subcommand_run},
        {"watch", subcommand_watch},
        {"flush", subcommand_flush},
        {"install", subcommand_install},
};

int main(int argc, char **argv)
{
	const char *word = argc > 1 ? argv[1] : "";
	if (strcmp(word, "--help") == 0 || (argc > 2 && strcmp(argv[2], "--help") == 0)) {
		fputs(usage, stdout);
		return 0;
	}
	if (strcmp(word, "--version") == 0) {
		puts("lastword-watchdog " LASTWORD_VERSION);
		return 0;
	}
	for (size_t i = 0; i < sizeof jobs / sizeof jobs[0]; i++)
		if (strcmp(word, jobs[i].name) == 0)
			return jobs[i].job(argc - 2, argv + 2);
	stderr_log("expected run, watch, flush or install, got \"%.100s\"; see --help", word);
	return 2;
}
