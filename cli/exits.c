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

int command_exits(int argc, char **argv)
{
	struct record_options options = {.command = "exits"};
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
		if (!record_output_write(&options, &list, &out, &error)) {
			message(options.command, "%s", error.message);
			return EXIT_FAILED;
		}
	} else if (list.count > 0) {
		struct record_table table = {
		        .namespaces = options.source.namespace == NULL,
		        .wide = options.output == RECORDS_WIDE,
		        .no_titles = options.no_headers,
		        .color = options.color,
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
