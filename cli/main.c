/* lastword, the command line: the webhook's own decisions on files, and the records of a cluster.
 * Under the name kubectl-lastword in PATH it is a plugin of kubectl: kubectl lastword exits. */
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/completion.h"
#include "cli/manual.h"
#include "cli/option.h"
#include "lib/base/buffer.h"
#include "lib/base/nearest.h"

#define USAGE_MAX ((size_t)64 * 1024)

/* What runs each command of the table (manual.h). */
static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
} commands[] = {
        {"inject", command_inject},
        {"explain", command_explain},
        {"check", command_check},
        {"images", command_images},
        {"status", command_status},
        {"scan", command_scan},
        {"exits", command_exits},
        {"groups", command_groups},
        {"why", command_why},
        {"breaker", command_breaker},
        {"diagnose", command_diagnose},
        {"version", command_version},
        {"completion", command_completion},
};
#define COMMAND_COUNT (sizeof commands / sizeof commands[0])

static void print_usage(FILE *out)
{
	struct buffer _cleanup_buffer_ text;
	buffer_init(&text, USAGE_MAX);
	manual_write_usage(&text);
	fputs(buffer_text(&text), out);
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

/* lastword help [COMMAND] */
static int help(int argc, char **argv)
{
	const struct manual *manual = argc > 2 ? manual_find(argv[2]) : NULL;
	if (argc > 2 && manual == NULL) {
		report_unknown(argv[2]);
		return EXIT_USAGE;
	}
	if (manual == NULL)
		print_usage(stdout);
	else
		option_print_help(manual);
	return EXIT_OK;
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";
	const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
	const char *program = argc == 0 ? "" : slash == NULL ? argv[0] : slash + 1;
	if (strcmp(program, "kubectl_complete-lastword") == 0)
		return completion_print(argc - 1, argv + 1);
	if (strcmp(name, "__complete") == 0)
		return completion_print(argc - 2, argv + 2);
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		if (strcmp(commands[i].name, name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0)
		return help(argc, argv);
	if (strcmp(name, "--version") == 0) {
		puts("lastword " LASTWORD_VERSION);
		return EXIT_OK;
	}
	if (name[0] != '\0')
		report_unknown(name);
	print_usage(stderr);
	return EXIT_USAGE;
}
