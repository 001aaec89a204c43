#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/exit_watch.h"
#include "cli/message.h"
#include "cli/record_options.h"
#include "cli/record_output.h"
#include "cli/record_table.h"
#include "lib/base/buffer.h"

#define OUTPUT_MAX ((size_t)1024 * 1024 * 1024)

static const char usage[] =
        "Usage: lastword exits [OPTION…]\n"
        "Lists the failed terminations of agent containers, the newest last. Reads the cluster's\n"
        "AgentExits through kubectl; also as kubectl's plugin: kubectl lastword exits.\n"
        "\n" RECORD_FILTER_USAGE
        "  -o, --output wide|json|yaml|name   wide: all columns, nothing cut; json and yaml: an\n"
        "                         AgentExitList; name: as kubectl takes it\n"
        "      --no-headers       the table without its titles\n"
        "  -w, --watch            go on with each record that is new or changes, until it is\n"
        "                         interrupted\n"
        "  -f, --filename FILE    read records from a file, JSON or YAML; - is standard input\n"
        "      --kubeconfig FILE, --context NAME   passed on to kubectl\n"
        "\n"
        "The table fits the terminal, or as many columns as the variable COLUMNS has. KUBECTL "
        "names\n"
        "another kubectl. Exit status: 0 ok, 1 failed, 2 usage.\n";

int command_exits(int argc, char **argv)
{
	struct record_options options = {.command = "exits", .usage = usage, .flags = "nAlofcswuy"};
	struct exit_list _cleanup_exit_list_ list = {0};
	struct buffer _cleanup_buffer_ out;
	struct error error;
	int status = record_options_read(argc, argv, &options);
	buffer_init(&out, OUTPUT_MAX);
	if (status >= 0)
		return status;
	if (options.watch)
		return exit_watch(&options);
	bool for_machines = record_output_is_for_machines(&options);
	const struct exit_choice choice = {record_is_chosen, &options, for_machines};
	if (!exit_list_load(&options.source, &choice, &list, &error)) {
		message(options.command, "%s", error.message);
		return EXIT_FAILED;
	}
	if (for_machines) {
		record_output_write(&options, &list, &out);
	} else if (list.count > 0) {
		struct record_table table = {
		        .namespaces = options.source.namespace == NULL,
		        .wide = options.output == RECORDS_WIDE,
		        .no_titles = options.no_headers,
		        .now = options.now,
		};
		record_table_print(&table, list.rows, list.count, &out);
	}
	status = record_print(&options, &out);
	if (list.count == 0 && !for_machines)
		record_report_none(&options, &list);
	else if (list.unreadable > 0)
		message(options.command, "%zu items are no AgentExit", list.unreadable);
	return list.unreadable > 0 && list.count == 0 ? EXIT_FAILED : status;
}
