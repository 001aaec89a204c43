#include "cli/manual.h"

#include <string.h>

#include "lib/base/buffer.h"

#define LINE_WIDTH  80
#define FLAG_INDENT 26

const struct manual *manual_find(const char *name)
{
	for (size_t i = 0; i < manual_count; i++)
		if (strcmp(manuals[i].name, name) == 0)
			return &manuals[i];
	return NULL;
}

const struct manual_flag *manual_find_flag(const struct manual *manual, const char *name,
                                           size_t length, char letter)
{
	for (size_t i = 0; i < manual->flag_count; i++) {
		const struct manual_flag *flag = &manual->flags[i];
		if (name == NULL ? letter != '\0' && flag->letter == letter
		                 : strlen(flag->name) == length &&
		                           strncmp(flag->name, name, length) == 0)
			return flag;
	}
	return NULL;
}

/* Characters of UTF-8 in a text of the table: none is wide. */
static size_t columns_of(const char *text, size_t length)
{
	size_t columns = 0;
	for (size_t i = 0; i < length; i++)
		columns += ((unsigned char)text[i] & 0xc0) != 0x80;
	return columns;
}

/* Words of a text, in lines behind indent spaces; the first line begins at column. Ends with a line
 * end. */
static void write_wrapped(struct buffer *out, const char *text, size_t indent, size_t column)
{
	bool empty = true; /* the line has no word yet */
	while (*text != '\0') {
		size_t length = strcspn(text, " \n");
		size_t columns = columns_of(text, length);
		bool full = !empty && column + 1 + columns > LINE_WIDTH;
		if (full)
			buffer_printf(out, "\n%*s", (int)indent, "");
		else if (!empty)
			buffer_append_char(out, ' ');
		column = (full ? indent : column + !empty) + columns;
		buffer_append(out, text, length);
		empty = false;
		text += length;
		if (*text == '\n') {
			buffer_printf(out, "\n%*s", (int)indent, "");
			column = indent;
			empty = true;
		}
		text += *text != '\0';
	}
	buffer_append_char(out, '\n');
}

static void write_flag(struct buffer *out, const struct manual_flag *flag)
{
	size_t start = out->length;
	if (flag->letter == '\0')
		buffer_printf(out, "      --%s", flag->name);
	else
		buffer_printf(out, "  -%c, --%s", flag->letter, flag->name);
	if (flag->value != NULL)
		buffer_printf(out, " %s", flag->value);
	size_t column = columns_of(buffer_text(out) + start, out->length - start);
	if (column + 2 > FLAG_INDENT) {
		buffer_append_char(out, '\n');
		column = 0;
	}
	buffer_printf(out, "%*s", (int)(FLAG_INDENT - column), "");
	write_wrapped(out, flag->text, FLAG_INDENT, FLAG_INDENT);
}

void manual_write_usage(struct buffer *out)
{
	buffer_append_text(out, "Usage: lastword COMMAND [OPTION…]\n\n");
	for (size_t i = 0; i < manual_count; i++)
		buffer_printf(out, "  %-10s  %s\n", manuals[i].name, manuals[i].summary);
	buffer_append_text(out, "\nlastword COMMAND --help describes a command. Exit status: 0 ok, "
	                        "1 failed, 2\nusage.\n");
}

void manual_write_help(const struct manual *manual, struct buffer *out)
{
	const char *lead = "Usage:";
	for (const char *line = manual->synopsis; *line != '\0';) {
		size_t length = strcspn(line, "\n");
		buffer_printf(out, "%-6s lastword %s %.*s\n", lead, manual->name, (int)length,
		              line);
		lead = "";
		line += length + (line[length] == '\n');
	}
	write_wrapped(out, manual->description, 0, 0);
	buffer_append_char(out, '\n');
	for (size_t i = 0; i < manual->flag_count; i++)
		write_flag(out, &manual->flags[i]);
	buffer_append_char(out, '\n');
	if (manual->notes != NULL)
		write_wrapped(out, manual->notes, 0, 0);
	buffer_append_text(out, "Exit status: ");
	write_wrapped(out, manual->statuses, 0, sizeof "Exit status: " - 1);
}
