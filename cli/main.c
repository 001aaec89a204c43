/* lastword, for a person's shell: the webhook's own decisions on files; the records of a cluster.
 * Under the name kubectl-lastword in PATH it is kubectl's plugin: kubectl lastword exits. */
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *summary;
} commands[] = {
        {"inject", command_inject, "do to the pods in a file what the webhook would do"},
        {"explain", command_explain, "say what the webhook would do, and why"},
        {"check", command_check, "check a configuration"},
        {"images", command_images, "ask registries what images run, for the configuration"},
        {"exits", command_exits, "list how agents ended, in a cluster"},
        {"why", command_why, "say why a pod's agent ended, in a cluster"},
        {"diagnose", command_diagnose, "say what the watchdog would report of a log"},
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
	      "lastword COMMAND --help says more. Exit status: 0 ok, 1 failed, 2 usage.\n",
	      out);
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
		fprintf(stderr, "lastword: unknown command \"%s\"\n", name);
	print_usage(stderr);
	return EXIT_USAGE;
}
