/* lastword, the command line: the webhook's own decisions on files, and the records of a cluster.
 * Under the name kubectl-lastword in PATH it is a plugin of kubectl: kubectl lastword exits. */
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "lib/base/nearest.h"

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *summary;
} commands[] = {
        {"inject", command_inject, "change the pods in a file as the webhook would"},
        {"explain", command_explain, "show what the webhook would do to them, and why"},
        {"check", command_check, "check a configuration"},
        {"images", command_images, "ask registries what images run, for the configuration"},
        {"status", command_status, "check an installation"},
        {"scan", command_scan, "find silent and failed pods; nothing needs to be installed"},
        {"exits", command_exits, "list the failed terminations of agents in a cluster"},
        {"groups", command_groups, "group those that are similar"},
        {"why", command_why, "show why a pod's agent failed"},
        {"breaker", command_breaker, "show, open or close the breakers of namespaces"},
        {"diagnose", command_diagnose, "show what the watchdog would report of a log"},
};
#define COMMAND_COUNT (sizeof commands / sizeof commands[0])

static void print_usage(FILE *out)
{
	fputs("Usage: lastword COMMAND [OPTION…]\n"
	      "\n",
	      out);
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].summary);
	fputs("\n"
	      "lastword COMMAND --help describes a command. Exit status: 0 ok, 1 failed, 2 "
	      "usage.\n",
	      out);
}

static void report_unknown(const char *name)
{
	struct nearest nearest = {.text = name};
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		nearest_offer(&nearest, commands[i].name);
	fprintf(stderr, "lastword: unknown command \"%s\"%s%s%s\n", name,
	        nearest.word == NULL ? "" : "; did you mean ",
	        nearest.word == NULL ? "" : nearest.word, nearest.word == NULL ? "" : "?");
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		if (strcmp(commands[i].name, name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	if (strcmp(name, "--help") == 0 || strcmp(name, "help") == 0) {
		print_usage(stdout);
		return EXIT_OK;
	}
	if (strcmp(name, "--version") == 0) {
		puts("lastword " LASTWORD_VERSION);
		return EXIT_OK;
	}
	if (name[0] != '\0')
		report_unknown(name);
	print_usage(stderr);
	return EXIT_USAGE;
}
