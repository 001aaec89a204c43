#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/message.h"
#include "cli/record_options.h"
#include "cli/record_table.h"
#include "lib/base/clock.h"
#include "lib/base/buffer.h"

#define OUTPUT_MAX ((size_t)1024 * 1024 * 1024)

static const char usage[] =
        "Usage: lastword exits [OPTION…]\n"
        "Lists the failed terminations of agent containers, the newest last. Reads the cluster's\n"
        "AgentExits through kubectl; also as kubectl's plugin: kubectl lastword exits.\n"
        "\n"
        "  -n, --namespace NS     a namespace (default: kubectl's)\n"
        "  -A, --all-namespaces   all of them\n"
        "      --since DURATION   only those of the last 24h, 90m, 7d …\n"
        "      --unresolved       only those after which no run of the same agent has succeeded\n"
        "  -l, --selector LABELS  only records with these labels: lastword.dev/cause=OOMKilled,\n"
        "                         lastword.dev/agent=… …\n"
        "  -o, --output wide|json wide: all columns, nothing cut; json: an AgentExitList\n"
        "  -f, --filename FILE    read records from a file, JSON or YAML; - is standard input\n"
        "      --kubeconfig FILE, --context NAME   passed on to kubectl\n"
        "\n"
        "The table fits the terminal, or as many columns as the variable COLUMNS has. KUBECTL "
        "names\n"
        "another kubectl. Exit status: 0 ok, 1 failed, 2 usage.\n";

struct choice {
	int64_t from; /* 0: for ever */
	bool unresolved;
};

static bool is_chosen(void *context, const struct agent_exit *exit)
{
	const struct choice *choice = context;
	if (choice->unresolved && exit->resolved_at != AGENT_EXIT_UNKNOWN)
		return false;
	return choice->from == 0 || exit_time(exit) >= choice->from;
}

static void print_nothing_found(const struct record_options *options)
{
	const char *namespace = options->source.namespace;
	if (namespace == NULL)
		fputs("No resources found\n", stderr);
	else
		fprintf(stderr, "No resources found in %s namespace.\n", namespace);
}

int command_exits(int argc, char **argv)
{
	struct record_options options = {.command = "exits", .usage = usage, .flags = "nAlofswu"};
	struct exit_list _cleanup_exit_list_ list = {0};
	struct buffer _cleanup_buffer_ out;
	struct error error;
	int status = record_options_read(argc, argv, &options);
	buffer_init(&out, OUTPUT_MAX);
	if (status >= 0)
		return status;
	int64_t now = clock_wall();
	struct choice choice = {.from = options.since == 0 ? 0 : now - options.since,
	                        .unresolved = options.unresolved};
	if (!exit_list_load(&options.source, options.output == RECORDS_JSON, is_chosen, &choice,
	                    &list, &error)) {
		message(options.command, "%s", error.message);
		return EXIT_FAILED;
	}
	if (options.output == RECORDS_JSON) {
		record_json(&out, &list);
	} else if (list.count == 0 && list.unreadable == 0) {
		print_nothing_found(&options);
	} else if (list.count > 0) {
		struct record_table table = {
		        .namespaces = options.source.namespace == NULL,
		        .wide = options.output == RECORDS_WIDE,
		        .now = now,
		};
		record_table_print(&table, list.rows, list.count, &out);
	}
	status = record_print(&options, &out);
	if (list.unreadable == 0)
		return status;
	message(options.command, "%zu items are no AgentExit", list.unreadable);
	return list.count == 0 ? EXIT_FAILED : status;
}
