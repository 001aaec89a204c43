#include "cli/table.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cli/terminal.h"
#include "lib/base/buffer.h"

struct layout {
	const struct table_column *columns;
	size_t count;
	size_t widths[TABLE_COLUMNS_MAX]; /* 0: the column is not shown */
	size_t gap;
};

static size_t total_width(const struct layout *layout)
{
	size_t total = 0;
	size_t shown = 0;
	for (size_t c = 0; c < layout->count; c++) {
		total += layout->widths[c];
		shown += layout->widths[c] > 0;
	}
	return shown == 0 ? 0 : total + (shown - 1) * layout->gap;
}

/* The column that is made narrower at that turn, if it is shown; SIZE_MAX: none. */
static size_t shrinking_column(const struct layout *layout, unsigned turn)
{
	for (size_t c = 0; c < layout->count; c++)
		if (layout->widths[c] > 0 && layout->columns[c].shrink_turn == turn)
			return c;
	return SIZE_MAX;
}

static size_t dropped_column(const struct layout *layout, unsigned turn)
{
	for (size_t c = 0; c < layout->count; c++)
		if (layout->columns[c].drop_turn == turn)
			return c;
	return SIZE_MAX;
}

static void shrink(struct layout *layout, size_t width)
{
	for (unsigned turn = 1; turn <= TABLE_COLUMNS_MAX; turn++) {
		size_t total = total_width(layout);
		size_t c = shrinking_column(layout, turn);
		if (total <= width)
			return;
		if (c == SIZE_MAX || layout->widths[c] <= layout->columns[c].min_width)
			continue;
		size_t spare = layout->widths[c] - layout->columns[c].min_width;
		layout->widths[c] -= spare < total - width ? spare : total - width;
	}
}

/* The width of the table when every column is as narrow as it may be. */
static size_t smallest_width(const struct layout *layout)
{
	struct layout smallest = *layout;
	shrink(&smallest, 0);
	return total_width(&smallest);
}

static void fit(struct layout *layout, size_t width)
{
	if (total_width(layout) <= width)
		return;
	if (smallest_width(layout) > width)
		layout->gap = 2;
	for (unsigned turn = 1; turn <= TABLE_COLUMNS_MAX && smallest_width(layout) > width;
	     turn++) {
		size_t c = dropped_column(layout, turn);
		if (c != SIZE_MAX)
			layout->widths[c] = 0;
	}
	shrink(layout, width);
}

/* cells NULL: the titles. colors NULL: none. Escapes have no width. */
static void print_row(struct buffer *out, const struct layout *layout, const char *const *cells,
                      const enum color *colors)
{
	size_t start = out->length;
	size_t padding = 0;
	for (size_t c = 0; c < layout->count; c++) {
		size_t width = layout->widths[c];
		if (width == 0)
			continue;
		enum color color = colors == NULL ? COLOR_NONE : colors[c];
		buffer_printf(out, "%*s", (int)padding, "");
		color_begin(out, color);
		size_t before = out->length;
		const char *cell = cells == NULL ? layout->columns[c].title : cells[c];
		terminal_cut(out, cell, width, layout->columns[c].middle);
		padding = width - terminal_columns(buffer_text(out) + before) + layout->gap;
		color_end(out, color);
	}
	size_t end = out->length;
	while (end > start && out->data[end - 1] == ' ')
		end--;
	buffer_truncate(out, end);
	buffer_append_char(out, '\n');
}

static bool says_the_same(const struct table *table, const char *const *cells, size_t rows,
                          size_t column)
{
	for (size_t r = 1; r < rows; r++)
		if (strcmp(cells[r * table->count + column], cells[column]) != 0)
			return false;
	return rows > 1;
}

/* Columns that say nothing, where there is no room for all. */
static void drop_repetitions(struct layout *layout, const struct table *table,
                             const char *const *cells, size_t rows)
{
	for (size_t c = 0; c < layout->count && total_width(layout) > table->width; c++)
		if (table->columns[c].drop_if_same && says_the_same(table, cells, rows, c))
			layout->widths[c] = 0;
}

/* The widths of the rows above count, too. */
static void recall(struct layout *layout, struct table_memory *memory)
{
	for (size_t c = 0; c < layout->count; c++) {
		if (layout->widths[c] > memory->needed[c])
			memory->needed[c] = layout->widths[c];
		layout->widths[c] = memory->needed[c];
	}
}

/* True: the titles above, if there are any, are of other columns. */
static bool needs_titles(const struct layout *layout, struct table_memory *memory)
{
	bool changed = !memory->titled;
	for (size_t c = 0; c < layout->count; c++) {
		bool shown = layout->widths[c] > 0;
		changed = changed || shown != memory->shown[c];
		memory->shown[c] = shown;
	}
	memory->titled = true;
	return changed;
}

void table_print(struct buffer *out, const struct table *table, const char *const *cells,
                 size_t rows)
{
	size_t count = table->count;
	struct layout layout = {.columns = table->columns, .count = count, .gap = 3};
	for (size_t c = 0; c < count; c++) {
		layout.widths[c] = table->no_titles ? 1 : strlen(table->columns[c].title);
		for (size_t r = 0; r < rows; r++) {
			size_t needed = terminal_columns(cells[r * count + c]);
			if (needed > layout.widths[c])
				layout.widths[c] = needed;
		}
	}
	if (table->memory == NULL)
		drop_repetitions(&layout, table, cells, rows);
	else
		recall(&layout, table->memory);
	fit(&layout, table->width);
	if (!table->no_titles && (table->memory == NULL || needs_titles(&layout, table->memory)))
		print_row(out, &layout, NULL, NULL);
	for (size_t r = 0; r < rows; r++)
		print_row(out, &layout, cells + r * count,
		          table->colors == NULL ? NULL : table->colors + r * count);
}

void table_print_texts(struct buffer *out, const struct table *table, const struct buffer *texts,
                       size_t rows)
{
	size_t count = rows * table->count;
	const char **cells = calloc(count + 1, sizeof *cells);
	if (cells == NULL || !buffer_ok(texts)) {
		free((void *)cells);
		out->failed = true;
		return;
	}
	const char *text = buffer_text(texts);
	for (size_t i = 0; i < count; i++) {
		cells[i] = text;
		text += strlen(text) + 1;
	}
	table_print(out, table, cells, rows);
	free((void *)cells);
}
