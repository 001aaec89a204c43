/* lastword-watchdog: one program with four subcommands. */
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
        "run      the shim: runs the command, passes on its output and signals, exits with its\n"
        "         code, and reports its end to the watchdog\n"
        "  --name NAME            name of the container\n"
        "  --grace DURATION       time between SIGTERM and SIGKILL when the shim ends the "
        "command;\n"
        "                         default 30s\n"
        "  --deadline DURATION    report the command if it runs longer\n"
        "  --on-deadline kill     and end it\n"
        "  --silence-after DURATION  report the command if it prints nothing for so long\n"
        "  --on-silence kill      and end it\n"
        "  --done-file FILE       create FILE at the end, with the exit code\n"
        "  --watchdog-uid UID     trust only a watchdog that runs as this user\n"
        "  --wait DURATION        if the command ends sooner and there is no watchdog, wait for "
        "one\n"
        "watch    the sidecar: keeps the last output and prints a JSON line for each event; "
        "always\n"
        "         exits with 0\n"
        "  --mode native|classic  how Kubernetes runs the sidecar, and so when it ends; default "
        "native\n"
        "  --container NAME[=POLICY]  container of an agent, and its restart policy; repeatable\n"
        "  --restart-policy POLICY    restart policy of the pod: Always, OnFailure or Never;\n"
        "                         default Always\n"
        "  --grace DURATION       termination grace period of the pod; default 30s\n"
        "  --start-timeout DURATION  classic: do not wait longer for an agent to start; default "
        "1m\n"
        "  --owner KIND/NAME      owner of the pod, for the reports\n"
        "  --context KEY=VALUE    field of the reports; repeatable\n"
        "  --redact PATTERN       redact this in reports too; repeatable\n"
        "  --rule RULE            a rule of diagnosis beside the built-in ones; repeatable\n"
        "  --ring-size BYTES      output kept for each container; default 65536\n"
        "  --tail BYTES           output printed in a report; default 4096\n"
        "flush    the preStop hook: runs the wrapped hook, then has a report printed\n"
        "  --name NAME, --grace DURATION  as above; waits at most min(1s, grace/10)\n"
        "  --signal SIGNAL        send this to the command first\n"
        "  --ping                 only exit with 0 if a watchdog answers, else with 1\n"
        "install  copies this program to FILE and executes the copy; gives up after 3s\n"
        "\n"
        "  --socket NAME          of run, watch, flush: another abstract socket than \"lastword\"\n"
        "  --help, --version\n";

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
} subcommands[] = {
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
	for (size_t i = 0; i < sizeof subcommands / sizeof subcommands[0]; i++)
		if (strcmp(word, subcommands[i].name) == 0)
			return subcommands[i].run(argc - 2, argv + 2);
	stderr_log("expected run, watch, flush or install, got \"%.100s\"; see --help", word);
	return 2;
}
