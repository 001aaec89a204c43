#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/message.h"
#include "cli/record_options.h"
#include "cli/record_output.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "lib/base/buffer.h"
#include "lib/base/json_write.h"

#define OUTPUT_MAX   ((size_t)256 * 1024 * 1024)
#define AGENTS_SHOWN ((size_t)3)

/* Records with the same fingerprint, or without one of the same cause and agent: a run of the
 * sorted list, the newest last. */
struct group {
	const struct exit_row *rows;
	size_t count;
	size_t resolved; /* how many of them are */
};

static const struct exit_row *newest(const struct group *group)
{
	return &group->rows[group->count - 1];
}

static const char *state_of(const struct group *group)
{
	if (group->resolved == group->count)
		return "resolved";
	return group->resolved > 0 && newest(group)->resolved_at == AGENT_EXIT_UNKNOWN ? "back"
	                                                                               : "open";
}

/* What tells agents apart for people: the agent's name, else the owner, else the pod. */
static const char *agent_of(const struct exit_row *row)
{
	return row->agent[0] != '\0' ? row->agent : row->owner[0] != '\0' ? row->owner : row->pod;
}

/* 0: they belong to the same group. */
static int compare_kinds(const struct exit_row *left, const struct exit_row *right)
{
	int order = strcmp(left->fingerprint, right->fingerprint);
	if (order != 0 || left->fingerprint[0] != '\0')
		return order;
	order = strcmp(left->error_type, right->error_type);
	return order != 0 ? order : strcmp(agent_of(left), agent_of(right));
}

/* Of a group the oldest first. */
static int compare_rows(const void *a, const void *b)
{
	const struct exit_row *left = a;
	const struct exit_row *right = b;
	int order = compare_kinds(left, right);
	if (order != 0)
		return order;
	if (left->time != right->time)
		return left->time < right->time ? -1 : 1;
	return strcmp(left->name, right->name);
}

static int compare_groups(const void *a, const void *b)
{
	const struct exit_row *left = newest(a);
	const struct exit_row *right = newest(b);
	if (left->time != right->time)
		return left->time < right->time ? -1 : 1;
	return strcmp(left->fingerprint, right->fingerprint);
}

/* NULL: no memory. The caller frees it. */
static struct group *make_groups(struct exit_list *list, size_t *ret_count)
{
	struct group *groups = calloc(list->count + 1, sizeof *groups);
	size_t count = 0;
	if (groups == NULL)
		return NULL;
	qsort(list->rows, list->count, sizeof *list->rows, compare_rows);
	for (size_t i = 0; i < list->count; i++) {
		const struct exit_row *row = &list->rows[i];
		if (i == 0 || compare_kinds(row - 1, row) != 0)
			groups[count++].rows = row;
		groups[count - 1].count++;
		groups[count - 1].resolved += row->resolved_at != AGENT_EXIT_UNKNOWN;
	}
	qsort(groups, count, sizeof *groups, compare_groups);
	*ret_count = count;
	return groups;
}

static int compare_texts(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The group's agents, each once, sorted; NULL: no memory. The caller frees the array. */
static const char **agents_of(const struct group *group, size_t *ret_count)
{
	const char **agents = calloc(group->count, sizeof *agents);
	size_t count = 0;
	if (agents == NULL)
		return NULL;
	for (size_t i = 0; i < group->count; i++)
		agents[i] = agent_of(&group->rows[i]);
	qsort((void *)agents, group->count, sizeof *agents, compare_texts);
	for (size_t i = 0; i < group->count; i++)
		if (count == 0 || strcmp(agents[count - 1], agents[i]) != 0)
			agents[count++] = agents[i];
	*ret_count = count;
	return agents;
}

/* ---- For programs ---- */

static void write_time(struct json_writer *writer, const char *key, int64_t time)
{
	if (time > 0)
		json_write_member_time(writer, key, time);
}

static bool write_group(struct json_writer *writer, const struct group *group)
{
	size_t count = 0;
	const char **agents = agents_of(group, &count);
	if (agents == NULL)
		return false;
	json_write_object_begin(writer);
	json_write_member(writer, "fingerprint", newest(group)->fingerprint);
	json_write_member(writer, "state", state_of(group));
	json_write_member_integer(writer, "count", (int64_t)group->count);
	json_write_member_integer(writer, "resolved", (int64_t)group->resolved);
	write_time(writer, "firstSeen", group->rows[0].time);
	write_time(writer, "lastSeen", newest(group)->time);
	json_write_key(writer, "agents");
	json_write_array_begin(writer);
	for (size_t i = 0; i < count; i++)
		json_write_string(writer, agents[i]);
	json_write_array_end(writer);
	json_write_member(writer, "cause", newest(group)->error_type);
	json_write_member(writer, "summary", newest(group)->summary);
	json_write_object_end(writer);
	free((void *)agents);
	return true;
}

static void print_json(struct buffer *out, const struct group *groups, size_t count)
{
	struct buffer _cleanup_buffer_ text;
	struct json_writer writer;
	bool written = true;
	buffer_init(&text, OUTPUT_MAX);
	json_writer_init(&writer, &text);
	json_write_object_begin(&writer);
	json_write_key(&writer, "groups");
	json_write_array_begin(&writer);
	for (size_t i = 0; i < count && written; i++)
		written = write_group(&writer, &groups[i]);
	json_write_array_end(&writer);
	json_write_object_end(&writer);
	terminal_json(out, buffer_text(&text), text.length);
	buffer_append_char(out, '\n');
	out->failed = out->failed || !written || !buffer_ok(&text);
}

/* ---- For people ---- */

enum column {
	COLUMN_FINGERPRINT,
	COLUMN_COUNT_OF,
	COLUMN_FIRST,
	COLUMN_LAST,
	COLUMN_STATE,
	COLUMN_AGENTS,
	COLUMN_CAUSE,
	COLUMN_SUMMARY,
	COLUMN_COUNT
};

static const struct table_column columns[COLUMN_COUNT] = {
        [COLUMN_FINGERPRINT] = {.title = "FINGERPRINT", .drop_turn = 3},
        [COLUMN_COUNT_OF] = {.title = "COUNT"},
        [COLUMN_FIRST] = {.title = "FIRST", .drop_turn = 1},
        [COLUMN_LAST] = {.title = "LAST", .drop_turn = 2},
        [COLUMN_STATE] = {.title = "STATE"},
        [COLUMN_AGENTS] = {.title = "AGENTS", .shrink_turn = 1, .min_width = 12},
        [COLUMN_CAUSE] = {.title = "CAUSE", .shrink_turn = 3, .min_width = 8},
        [COLUMN_SUMMARY] = {.title = "SUMMARY", .shrink_turn = 2, .drop_turn = 4, .min_width = 24},
};

static void append_agents(struct buffer *out, const struct group *group)
{
	size_t count = 0;
	const char **agents = agents_of(group, &count);
	if (agents == NULL) {
		out->failed = true;
		return;
	}
	for (size_t i = 0; i < count && i < AGENTS_SHOWN; i++) {
		if (i > 0)
			buffer_append_text(out, ", ");
		terminal_line(out, agents[i]);
	}
	if (count > AGENTS_SHOWN)
		buffer_printf(out, " and %zu more", count - AGENTS_SHOWN);
	free((void *)agents);
}

static void append_cell(struct buffer *out, const struct group *group, size_t column, int64_t now)
{
	size_t before = out->length;
	switch (column) {
	case COLUMN_FINGERPRINT:
		terminal_line(out, newest(group)->fingerprint);
		break;
	case COLUMN_COUNT_OF:
		buffer_printf(out, "%zu", group->count);
		break;
	case COLUMN_FIRST:
		terminal_age(out, now - group->rows[0].time);
		break;
	case COLUMN_LAST:
		terminal_age(out, now - newest(group)->time);
		break;
	case COLUMN_STATE:
		buffer_append_text(out, state_of(group));
		break;
	case COLUMN_AGENTS:
		append_agents(out, group);
		break;
	case COLUMN_CAUSE:
		terminal_line(out, newest(group)->error_type);
		break;
	default:
		terminal_line(out, newest(group)->summary);
	}
	if (out->length == before)
		buffer_append_char(out, '-');
	buffer_append_char(out, '\0');
}

static enum color color_of(const struct group *group, size_t column)
{
	const char *state = state_of(group);
	if (strcmp(state, "resolved") == 0)
		return COLOR_DONE;
	if (column != COLUMN_STATE)
		return COLOR_NONE;
	return strcmp(state, "back") == 0 ? COLOR_ALARM : COLOR_WARNING;
}

static void print_table(struct buffer *out, const struct group *groups, size_t count,
                        const struct record_options *options)
{
	struct buffer _cleanup_buffer_ texts;
	struct table table = {.columns = columns,
	                      .count = COLUMN_COUNT,
	                      .width = terminal_width(),
	                      .no_titles = options->no_headers};
	enum color *colors =
	        options->color ? calloc(count + 1, COLUMN_COUNT * sizeof *colors) : NULL;
	buffer_init(&texts, OUTPUT_MAX);
	for (size_t i = 0; i < count * COLUMN_COUNT; i++) {
		const struct group *group = &groups[i / COLUMN_COUNT];
		append_cell(&texts, group, i % COLUMN_COUNT, options->now);
		if (colors != NULL)
			colors[i] = color_of(group, i % COLUMN_COUNT);
	}
	table.colors = colors;
	table_print_texts(out, &table, &texts, count);
	free(colors);
}

int command_groups(int argc, char **argv)
{
	struct record_options options = {.command = "groups"};
	const struct exit_choice choice = {record_is_chosen, &options, false};
	struct exit_list _cleanup_exit_list_ list = {0};
	struct buffer _cleanup_buffer_ out;
	struct error error;
	size_t count;
	int status = record_options_read(argc, argv, &options);
	buffer_init(&out, OUTPUT_MAX);
	if (status >= 0)
		return status;
	if (!exit_list_load(&options.source, &choice, &list, &error)) {
		message(options.command, "%s", error.message);
		return EXIT_FAILED;
	}
	if (list.count == 0 && options.output == RECORDS_TABLE) {
		record_report_none(&options, &list);
		return list.unreadable == 0 ? EXIT_OK : EXIT_FAILED;
	}
	struct group *groups = make_groups(&list, &count);
	if (groups == NULL)
		out.failed = true;
	else if (options.output == RECORDS_TABLE)
		print_table(&out, groups, count, &options);
	else
		print_json(&out, groups, count);
	free(groups);
	return record_print(&options, &out);
}
