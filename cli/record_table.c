#include "cli/record_table.h"

#include <stdlib.h>
#include <string.h>

#include "cli/terminal.h"
#include "lib/base/buffer.h"
#include "lib/base/hash.h"
#include "lib/document/json.h"

#define CELLS_MAX ((size_t)1024 * 1024 * 1024)

enum column {
	COLUMN_NAMESPACE,
	COLUMN_POD,
	COLUMN_CONTAINER,
	COLUMN_EXIT,
	COLUMN_CAUSE,
	COLUMN_SILENT,
	COLUMN_AGE,
	COLUMN_RESTART,
	COLUMN_AGENT,
	COLUMN_TASK,
	COLUMN_OWNER,
	COLUMN_NODE,
	COLUMN_SOURCE,
	COLUMN_FINGERPRINT,
	COLUMN_RESOLVED,
	COLUMN_SUMMARY,
	COLUMN_COUNT
};

static const struct table_column columns[COLUMN_COUNT] = {
        [COLUMN_NAMESPACE] = {.title = "NAMESPACE",
                              .shrink_turn = 2,
                              .drop_turn = 2,
                              .min_width = 9,
                              .drop_if_same = true},
        [COLUMN_POD] = {.title = "POD", .shrink_turn = 1, .min_width = 16, .middle = true},
        [COLUMN_CONTAINER] = {.title = "CONTAINER",
                              .shrink_turn = 3,
                              .drop_turn = 1,
                              .min_width = 9,
                              .drop_if_same = true},
        [COLUMN_EXIT] = {.title = "EXIT"},
        [COLUMN_CAUSE] = {.title = "CAUSE", .shrink_turn = 5, .min_width = 8},
        [COLUMN_SILENT] = {.title = "SILENT"},
        [COLUMN_AGE] = {.title = "AGE", .drop_turn = 3},
        [COLUMN_SUMMARY] = {.title = "SUMMARY", .shrink_turn = 4, .drop_turn = 4, .min_width = 24},
        [COLUMN_RESTART] = {.title = "RESTART"},
        [COLUMN_AGENT] = {.title = "AGENT"},
        [COLUMN_TASK] = {.title = "TASK"},
        [COLUMN_OWNER] = {.title = "OWNER"},
        [COLUMN_NODE] = {.title = "NODE"},
        [COLUMN_SOURCE] = {.title = "SOURCE"},
        [COLUMN_FINGERPRINT] = {.title = "FINGERPRINT"},
        [COLUMN_RESOLVED] = {.title = "RESOLVED"},
};

static bool is_shown(const struct record_table *table, size_t column)
{
	if (column == COLUMN_NAMESPACE)
		return table->namespaces;
	return table->wide || column < COLUMN_RESTART || column == COLUMN_SUMMARY;
}

static const char *text_of(const struct exit_row *row, size_t column)
{
	switch (column) {
	case COLUMN_NAMESPACE:
		return row->namespace;
	case COLUMN_POD:
		return row->pod;
	case COLUMN_CONTAINER:
		return row->container;
	case COLUMN_CAUSE:
		return row->error_type;
	case COLUMN_SILENT:
		return row->silent;
	case COLUMN_AGENT:
		return row->agent;
	case COLUMN_TASK:
		return row->task_id;
	case COLUMN_OWNER:
		return row->owner;
	case COLUMN_NODE:
		return row->node;
	case COLUMN_SOURCE:
		return row->source;
	case COLUMN_FINGERPRINT:
		return row->fingerprint;
	default:
		return row->summary;
	}
}

static void append_number(struct buffer *out, int64_t number)
{
	if (number == AGENT_EXIT_UNKNOWN)
		buffer_append_char(out, '-');
	else
		buffer_printf(out, "%lld", (long long)number);
}

static void append_cell(struct buffer *out, const struct record_table *table,
                        const struct exit_row *row, size_t column)
{
	size_t before = out->length;
	if (column == COLUMN_EXIT)
		append_number(out, row->exit_code);
	else if (column == COLUMN_RESTART)
		append_number(out, row->restart_count);
	else if (column == COLUMN_AGE && row->time == 0)
		buffer_append_text(out, "<unknown>");
	else if (column == COLUMN_AGE)
		terminal_age(out, table->now - row->time);
	else if (column == COLUMN_RESOLVED && row->resolved_at != AGENT_EXIT_UNKNOWN)
		terminal_age(out, table->now - row->resolved_at);
	else if (column == COLUMN_RESOLVED)
		buffer_append_char(out, '-');
	else
		terminal_line(out, text_of(row, column));
	if (out->length == before)
		buffer_append_char(out, '-');
}

static uint64_t hash_number(uint64_t hash, int64_t number)
{
	return hash_add(hash, &number, sizeof number);
}

uint64_t record_table_hash(const struct record_table *table, const struct exit_row *row)
{
	uint64_t hash = HASH_START;
	for (size_t column = 0; column < COLUMN_COUNT; column++) {
		if (!is_shown(table, column) || column == COLUMN_AGE)
			continue;
		if (column == COLUMN_EXIT)
			hash = hash_number(hash, row->exit_code);
		else if (column == COLUMN_RESTART)
			hash = hash_number(hash, row->restart_count);
		else if (column == COLUMN_RESOLVED)
			hash = hash_number(hash, row->resolved_at);
		else
			hash = hash_add(hash, text_of(row, column),
			                strlen(text_of(row, column)) + 1);
	}
	return hash;
}

/* The text of every cell, one after the other, each with its NUL. */
static void write_cells(struct buffer *texts, const struct record_table *table,
                        const struct exit_row *rows, size_t count)
{
	for (size_t r = 0; r < count; r++)
		for (size_t column = 0; column < COLUMN_COUNT; column++)
			if (is_shown(table, column)) {
				append_cell(texts, table, &rows[r], column);
				buffer_append_char(texts, '\0');
			}
}

static enum color color_of(const struct exit_row *row, size_t column)
{
	if (row->resolved_at != AGENT_EXIT_UNKNOWN)
		return COLOR_DONE;
	return column == COLUMN_SILENT && strcmp(row->silent, "True") == 0 ? COLOR_ALARM
	                                                                   : COLOR_NONE;
}

/* Of every cell, as write_cells() has them; NULL: none, or no memory. The caller frees it. */
static enum color *make_colors(const struct record_table *table, const struct exit_row *rows,
                               size_t count)
{
	enum color *colors = table->color ? calloc(count + 1, COLUMN_COUNT * sizeof *colors) : NULL;
	size_t cell = 0;
	for (size_t r = 0; colors != NULL && r < count; r++)
		for (size_t column = 0; column < COLUMN_COUNT; column++)
			if (is_shown(table, column))
				colors[cell++] = color_of(&rows[r], column);
	return colors;
}

void record_table_print(const struct record_table *table, const struct exit_row *rows, size_t count,
                        struct buffer *out)
{
	struct buffer _cleanup_buffer_ texts;
	struct table_column shown[COLUMN_COUNT];
	size_t column_count = 0;
	buffer_init(&texts, CELLS_MAX);
	for (size_t column = 0; column < COLUMN_COUNT; column++)
		if (is_shown(table, column))
			shown[column_count++] = columns[column];
	write_cells(&texts, table, rows, count);
	enum color *colors = make_colors(table, rows, count);
	struct table drawn = {.columns = shown,
	                      .count = column_count,
	                      .width = table->wide ? SIZE_MAX : terminal_width(),
	                      .no_titles = table->no_titles,
	                      .colors = colors,
	                      .memory = table->memory};
	table_print_texts(out, &drawn, &texts, count);
	free(colors);
}
