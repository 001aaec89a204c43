#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/message.h"
#include "cli/record_options.h"
#include "cli/record_output.h"
#include "cli/record_table.h"
#include "cli/subject.h"
#include "cli/terminal.h"
#include "lib/base/clock.h"
#include "lib/base/buffer.h"
#include "lib/base/timestamp.h"

#define OUTPUT_MAX    ((size_t)256 * 1024 * 1024)
#define SELECTOR_SIZE 128
#define OTHERS_SHOWN  ((size_t)10)
#define SIMILAR_SHOWN ((size_t)5)

/* ---- One termination ---- */

static void write_text(struct buffer *out, const char *title, const char *text)
{
	if (text == NULL || text[0] == '\0')
		return;
	buffer_printf(out, "%-14s", title);
	terminal_line(out, text);
	buffer_append_char(out, '\n');
}

static void write_number(struct buffer *out, const char *title, int64_t number)
{
	if (number != AGENT_EXIT_UNKNOWN)
		buffer_printf(out, "%-14s%lld\n", title, (long long)number);
}

/* "title: text: more", of which either may be missing. */
static void write_pair(struct buffer *out, const char *title, const char *text, const char *more)
{
	bool has_more = more != NULL && more[0] != '\0';
	if (text == NULL || text[0] == '\0') {
		write_text(out, title, more);
		return;
	}
	buffer_printf(out, "%-14s", title);
	terminal_line(out, text);
	if (has_more)
		buffer_append_text(out, ": ");
	terminal_line(out, has_more ? more : "");
	buffer_append_char(out, '\n');
}

static void write_who(struct buffer *out, const struct agent_exit *exit)
{
	write_text(out, "Pod:", exit->pod);
	write_text(out, "Namespace:", exit->namespace);
	write_text(out, "Owner:", exit->owner);
	write_text(out, "Node:", exit->node);
	write_text(out, "Container:", exit->container);
	write_number(out, "Restart:", exit->restart_count);
	write_text(out, "Agent:", exit->agent);
	write_text(out, "Task:", exit->task_id);
	write_text(out, "Workflow:", exit->workflow_id);
	for (size_t i = 0; i < exit->context_count; i++) {
		buffer_printf(out, "%-14s", i == 0 ? "Context:" : "");
		terminal_line(out, exit->context[i].key);
		buffer_append_char(out, '=');
		terminal_line(out, exit->context[i].value);
		buffer_append_char(out, '\n');
	}
}

/* A point of time to the second. */
static void append_time(struct buffer *out, int64_t time)
{
	char text[TIMESTAMP_SIZE];
	timestamp_print(time, text);
	buffer_printf(out, "%.19sZ", text);
}

static void write_when(struct buffer *out, const struct agent_exit *exit, int64_t now)
{
	int64_t length = exit->duration;
	if (length == AGENT_EXIT_UNKNOWN && exit->started_at > 0 && exit->finished_at > 0)
		length = exit->finished_at - exit->started_at;
	if (exit->started_at > 0) {
		buffer_printf(out, "%-14s", "Started:");
		append_time(out, exit->started_at);
		buffer_append_char(out, '\n');
	}
	int64_t ended = exit_time(exit);
	if (ended == 0)
		return;
	buffer_printf(out, "%-14s", exit->finished_at > 0 ? "Finished:" : "Recorded:");
	append_time(out, ended);
	buffer_append_text(out, ", ");
	terminal_age(out, now - ended);
	buffer_append_text(out, " ago");
	if (length >= 0) {
		buffer_append_text(out, ", ran ");
		terminal_age(out, length);
	}
	buffer_append_char(out, '\n');
}

static void write_usage(struct buffer *out, const struct agent_exit *exit)
{
	if (exit->max_rss_bytes >= 0)
		buffer_printf(out, "%-14s%lld MiB peak\n",
		              "Memory:", (long long)((exit->max_rss_bytes + (1 << 20) - 1) >> 20));
	if (exit->cpu >= 0)
		buffer_printf(out, "%-14s%lld.%lld s\n", "CPU:", (long long)(exit->cpu / SECOND),
		              (long long)(exit->cpu % SECOND / (SECOND / 10)));
	if (exit->oom_kills > 0)
		write_number(out, "OOM Kills:", exit->oom_kills);
	if (exit->silences > 0)
		write_number(out, "Silences:", exit->silences);
	if (exit->deadline_exceeded_at > 0) {
		char time[TIMESTAMP_SIZE];
		timestamp_print(exit->deadline_exceeded_at, time);
		buffer_printf(out, "%-14sexceeded at %s\n", "Deadline:", time);
	}
}

/* Ends the color of the line that was written last, before its line end. */
static void end_line(struct buffer *out, enum color color)
{
	if (color == COLOR_NONE || out->length == 0)
		return;
	buffer_truncate(out, out->length - 1);
	color_end(out, color);
	buffer_append_char(out, '\n');
}

/* What else ran in the pod, and whether the pod looked healthy because of it. */
static void write_silence(struct buffer *out, const struct agent_exit *exit, bool color)
{
	const struct agent_exit_condition *silent =
	        agent_exit_find_condition(exit, AGENT_EXIT_SILENT);
	for (size_t i = 0; i < exit->running_container_count; i++) {
		if (i == 0)
			buffer_printf(out, "%-14s", "Others Ran:");
		else
			buffer_append_text(out, ", ");
		terminal_line(out, exit->running_containers[i]);
	}
	if (exit->running_container_count > 0)
		buffer_append_char(out, '\n');
	if (silent == NULL)
		return;
	bool alarms = color && exit->resolved_at == AGENT_EXIT_UNKNOWN &&
	              strcmp(silent->status, "True") == 0;
	color_begin(out, alarms ? COLOR_ALARM : COLOR_NONE);
	write_pair(out, "Silent:", silent->status, silent->message);
	end_line(out, alarms ? COLOR_ALARM : COLOR_NONE);
}

static void write_cause(struct buffer *out, const struct agent_exit *exit, bool color)
{
	enum color title = color ? COLOR_TITLE : COLOR_NONE;
	color_begin(out, title);
	buffer_printf(out, "%-14s", "Cause:");
	terminal_line(out, exit->error_type == NULL ? "Unknown" : exit->error_type);
	if (exit->detail != NULL && exit->detail[0] != '\0') {
		buffer_append_text(out, ", ");
		terminal_line(out, exit->detail);
	}
	if (exit->evidence != NULL && exit->evidence[0] != '\0') {
		buffer_append_text(out, " (");
		terminal_line(out, exit->evidence);
		buffer_append_char(out, ')');
	}
	color_end(out, title);
	buffer_append_char(out, '\n');
	write_text(out, "Summary:", exit->summary);
	write_number(out, "Exit Code:", exit->exit_code);
	write_text(out, "Signal:", exit->signal);
	write_silence(out, exit, color);
	write_pair(out, "Kubelet:", exit->reason, exit->message);
	write_pair(out, "Pod Reason:", exit->pod_reason, exit->disruption);
	write_text(out, "Source:", exit->source);
}

static void write_notifications(struct buffer *out, const struct agent_exit *exit)
{
	for (size_t i = 0; i < exit->notification_count; i++) {
		const struct agent_exit_notification *notification = &exit->notifications[i];
		buffer_printf(out, "%-14s", i == 0 ? "Notified:" : "");
		terminal_line(out, notification->receiver);
		buffer_append_char(out, ' ');
		terminal_line(out, notification->state);
		if (notification->message != NULL && notification->message[0] != '\0') {
			buffer_append_text(out, ": ");
			terminal_line(out, notification->message);
		}
		buffer_append_char(out, '\n');
	}
}

/* All but Silent, which has a line of its own (write_silence). */
static void write_conditions(struct buffer *out, const struct agent_exit *exit, bool color)
{
	const char *title = "Conditions:";
	for (size_t i = 0; i < exit->condition_count; i++) {
		const struct agent_exit_condition *condition = &exit->conditions[i];
		if (strcmp(condition->type, AGENT_EXIT_SILENT) == 0)
			continue;
		buffer_printf(out, "%-14s", title);
		title = "";
		terminal_line(out, condition->type);
		buffer_append_char(out, '=');
		terminal_line(out, condition->status);
		if (condition->message != NULL && condition->message[0] != '\0') {
			buffer_append_text(out, ": ");
			terminal_line(out, condition->message);
		}
		buffer_append_char(out, '\n');
	}
	if (exit->resolved_at > 0) {
		enum color good = color ? COLOR_GOOD : COLOR_NONE;
		color_begin(out, good);
		buffer_printf(out, "%-14s", "Resolved:");
		append_time(out, exit->resolved_at);
		buffer_append_text(out, ", a later run succeeded");
		color_end(out, good);
		buffer_append_char(out, '\n');
	}
}

static void write_output(struct buffer *out, const struct agent_exit *exit, bool log)
{
	const char *snippet = exit->payload_snippet == NULL ? "" : exit->payload_snippet;
	const char *tail = exit->log_tail == NULL ? "" : exit->log_tail;
	if (snippet[0] != '\0') {
		buffer_append_text(out, "\nKey log lines:\n");
		terminal_block(out, snippet, "  ");
	} else if (!log) {
		buffer_append_text(out, exit->log_bytes_total == 0
		                                ? "\nIt printed nothing.\n"
		                                : "\nThe output is not known.\n");
	}
	if (!log || tail[0] == '\0')
		return;
	buffer_append_text(out, "\nEnd of the output");
	if (exit->log_bytes_total > 0)
		buffer_printf(out, " (of %lld bytes)", (long long)exit->log_bytes_total);
	buffer_append_text(out, ":\n");
	terminal_block(out, tail, "  ");
}

/* ---- Other terminations ---- */

static void write_table(struct buffer *out, const struct exit_row *rows, size_t count, size_t shown,
                        const struct record_options *options)
{
	struct record_table table = {.now = options->now, .color = options->color};
	size_t skipped = count > shown ? count - shown : 0;
	record_table_print(&table, rows + skipped, count - skipped, out);
}

/* The list with the newest record's pod apart, both in the list's order: that pod's earlier
 * records first. How many they are. */
static size_t part_rows(const struct exit_list *list, struct exit_row *ret_rows)
{
	const struct exit_row *newest = &list->rows[list->count - 1];
	size_t own = 0;
	size_t count = 0;
	for (int pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i + 1 < list->count; i++) {
			bool is_own = strcmp(list->rows[i].pod, newest->pod) == 0 &&
			              strcmp(list->rows[i].namespace, newest->namespace) == 0;
			if (is_own == (pass == 0))
				ret_rows[count++] = list->rows[i];
		}
		own = pass == 0 ? count : own;
	}
	return own;
}

/* The newest is described above. */
static void write_earlier(struct buffer *out, const struct exit_list *list,
                          const struct record_options *options)
{
	size_t count = list->count - 1;
	struct exit_row *rows = calloc(list->count, sizeof *rows);
	if (rows == NULL) {
		out->failed = true;
		return;
	}
	size_t own = part_rows(list, rows);
	size_t others = count - own;
	if (own > 0) {
		buffer_printf(out, "\nEarlier terminations of this pod (%zu%s):\n", own,
		              own > OTHERS_SHOWN ? ", the newest" : "");
		write_table(out, rows, own, OTHERS_SHOWN, options);
	}
	if (others > 0) {
		buffer_printf(out, "\nEarlier terminations of other pods that match (%zu%s):\n",
		              others, others > OTHERS_SHOWN ? ", the newest" : "");
		write_table(out, rows + own, others, OTHERS_SHOWN, options);
	}
	free(rows);
}

/* Of another pod: this one's terminations are listed already. */
static bool is_similar(void *context, const struct agent_exit *exit)
{
	const struct exit_row *last = context;
	return exit->fingerprint != NULL && strcmp(exit->fingerprint, last->fingerprint) == 0 &&
	       exit->pod != NULL && strcmp(exit->pod, last->pod) != 0;
}

static bool write_similar(struct buffer *out, const struct record_options *options,
                          struct exit_row *last, struct error *error)
{
	struct exit_list _cleanup_exit_list_ list = {0};
	const struct exit_choice choice = {is_similar, last, false};
	struct exit_source source = options->source;
	char selector[SELECTOR_SIZE] = AGENT_EXIT_LABEL_FINGERPRINT "=";
	/* Standard input cannot be read twice. */
	bool readable = source.path == NULL || strcmp(source.path, "-") != 0;
	if (last->fingerprint[0] == '\0' || !readable)
		return true;
	agent_exit_label_value(last->fingerprint, selector + strlen(selector));
	source.namespace = last->namespace;
	source.selector = selector;
	if (!exit_list_load(&source, &choice, &list, error))
		return error_wrap(error, "similar failures");
	buffer_append_text(out, "\nSimilar failures of other pods in namespace ");
	terminal_line(out, last->namespace);
	buffer_append_text(out, ", fingerprint ");
	terminal_line(out, last->fingerprint);
	if (list.count == 0) {
		buffer_append_text(out, ": none\n");
		return true;
	}
	buffer_printf(out, " (%zu%s):\n", list.count,
	              list.count > SIMILAR_SHOWN ? ", the newest" : "");
	write_table(out, list.rows, list.count, SIMILAR_SHOWN, options);
	return true;
}

/* ---- The command ---- */

/* Writes the recorded end of the newest record's output. */
static bool write_log_file(const char *path, const struct agent_exit *exit, struct error *error)
{
	const char *tail = exit->log_tail == NULL ? "" : exit->log_tail;
	FILE *file = fopen(path, "we");
	if (file == NULL)
		return error_set_errno(error, errno, "--log-file %s", path);
	bool written = fwrite(tail, 1, strlen(tail), file) == strlen(tail);
	if (fclose(file) != 0 || !written)
		return error_set_errno(error, errno, "--log-file %s", path);
	return true;
}

static int fail_not_found(const struct record_options *options)
{
	const char *namespace = options->source.namespace;
	const char *container = options->container;
	bool bare = strchr(options->argument, '/') == NULL;
	message(options->command,
	        "no record of %s\"%s\"%s%s%s%s; a run with exit code 0 leaves none",
	        bare ? "a pod, an owner, a workflow or a task " : "", options->argument,
	        container == NULL ? "" : ", container ", container == NULL ? "" : container,
	        namespace == NULL ? "" : ", in namespace ", namespace == NULL ? "" : namespace);
	return EXIT_FAILED;
}

static bool write_report(const struct record_options *options, const struct exit_list *list,
                         struct buffer *out, struct error *error)
{
	struct exit_row *newest = &list->rows[list->count - 1];
	int64_t now = clock_wall();
	struct agent_exit exit;
	json *object;
	if (json_parse(list->arena, newest->json, strlen(newest->json), 0, &object, error) ==
	            JSON_INVALID ||
	    !agent_exit_read(object, &exit, error))
		return false;
	if (options->log_file != NULL)
		return write_log_file(options->log_file, &exit, error);
	write_who(out, &exit);
	write_when(out, &exit, now);
	write_cause(out, &exit, options->color);
	write_usage(out, &exit);
	write_notifications(out, &exit);
	write_conditions(out, &exit, options->color);
	write_output(out, &exit, options->log);
	write_earlier(out, list, options);
	return write_similar(out, options, newest, error);
}

int command_why(int argc, char **argv)
{
	struct record_options options = {.command = "why"};
	struct exit_list _cleanup_exit_list_ list = {0};
	struct buffer _cleanup_buffer_ out;
	struct error error;
	int status = record_options_read(argc, argv, &options);
	buffer_init(&out, OUTPUT_MAX);
	if (status >= 0)
		return status;
	if (!subject_load(&options, &list, &error)) {
		message(options.command, "%s", error.message);
		return EXIT_FAILED;
	}
	bool for_machines = record_output_is_for_machines(&options);
	if (list.count == 0 && !for_machines)
		return fail_not_found(&options);
	bool written = for_machines ? record_output_write(&options, &list, &out, &error)
	                            : write_report(&options, &list, &out, &error);
	status = record_print(&options, &out);
	if (written)
		return status;
	message(options.command, "%s", error.message);
	return EXIT_FAILED;
}
