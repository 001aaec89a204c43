#include "cli/manual_page.h"

#include <ctype.h>
#include <string.h>

#include "lib/base/buffer.h"

#define ELLIPSIS        "\xe2\x80\xa6" /* U+2026 */
#define ELLIPSIS_LENGTH (sizeof ELLIPSIS - 1)

/* ---- man(7) ---- */

#define LINE_MAX_ROFF 78

static size_t line_length(const struct buffer *out)
{
	const char *end = out->length == 0 ? NULL : memrchr(out->data, '\n', out->length);
	return end == NULL ? out->length : (size_t)(out->data + out->length - end - 1);
}

/* What a formatter would read as its own is escaped: backslashes, hyphens that are to be copied,
 * and control characters where a line begins. A line end begins a paragraph; long lines are broken.
 */
static void write_roff(struct buffer *out, const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		size_t word = strcspn(text + i + 1, " \n");
		bool breaks = text[i] == ' ' && line_length(out) + 1 + word > LINE_MAX_ROFF;
		if (line_length(out) == 0 && (text[i] == '.' || text[i] == '\''))
			buffer_append_text(out, "\\&");
		if (text[i] == '\\')
			buffer_append_text(out, "\\e");
		else if (text[i] == '-')
			buffer_append_text(out, "\\-");
		else if (text[i] == '~')
			buffer_append_text(out, "\\(ti");
		else if (text[i] == '\n')
			buffer_append_text(out, "\n.PP\n");
		else if (breaks)
			buffer_append_char(out, '\n');
		else if (strncmp(text + i, ELLIPSIS, ELLIPSIS_LENGTH) == 0) {
			buffer_append_text(out, "\\[u2026]");
			i += ELLIPSIS_LENGTH - 1;
		} else
			buffer_append_char(out, text[i]);
	}
}

static void write_roff_text(struct buffer *out, const char *text)
{
	write_roff(out, text, strlen(text));
	buffer_append_char(out, '\n');
}

static void write_upper(struct buffer *out, const char *text)
{
	for (; *text != '\0'; text++)
		buffer_append_char(out, (char)toupper((unsigned char)*text));
}

static void write_head(struct buffer *out, const struct manual *manual, const char *version,
                       const char *date)
{
	const char *dash = manual == NULL ? "" : "\\-";
	const char *name = manual == NULL ? "" : manual->name;
	buffer_append_text(out, ".TH LASTWORD");
	buffer_append_text(out, manual == NULL ? "" : "-");
	write_upper(out, name);
	buffer_printf(out, " 1 %s \"lastword %s\" lastword\n", date, version);
	buffer_printf(out, ".SH NAME\nlastword%s%s \\- ", dash, name);
	write_roff_text(out, manual == NULL
	                             ? "see how the agents of a Kubernetes cluster ended, and why"
	                             : manual->summary);
	buffer_append_text(out, ".SH SYNOPSIS\n");
}

static void write_synopsis(struct buffer *out, const struct manual *manual)
{
	for (const char *line = manual->synopsis; *line != '\0';) {
		size_t length = strcspn(line, "\n");
		if (line != manual->synopsis)
			buffer_append_text(out, ".br\n");
		buffer_printf(out, ".B lastword %s\n", manual->name);
		write_roff(out, line, length);
		buffer_append_char(out, '\n');
		line += length + (line[length] == '\n');
	}
}

static void write_options(struct buffer *out, const struct manual *manual)
{
	buffer_append_text(out, ".SH OPTIONS\n");
	for (size_t i = 0; i < manual->flag_count; i++) {
		const struct manual_flag *flag = &manual->flags[i];
		buffer_append_text(out, ".TP\n");
		if (flag->letter != '\0')
			buffer_printf(out, "\\fB\\-%c\\fP, ", flag->letter);
		buffer_append_text(out, "\\fB\\-\\-");
		write_roff(out, flag->name, strlen(flag->name));
		buffer_append_text(out, "\\fP");
		if (flag->value != NULL) {
			buffer_append_text(out, " \\fI");
			write_roff(out, flag->value, strlen(flag->value));
			buffer_append_text(out, "\\fP");
		}
		buffer_append_char(out, '\n');
		write_roff_text(out, flag->text);
	}
}

static void write_commands(struct buffer *out)
{
	buffer_append_text(out, ".SH COMMANDS\n");
	for (size_t i = 0; i < manual_count; i++) {
		buffer_printf(out, ".TP\n.BR lastword\\-%s (1)\n", manuals[i].name);
		write_roff_text(out, manuals[i].summary);
	}
}

static void write_environment(struct buffer *out)
{
	buffer_append_text(out, ".SH ENVIRONMENT\n");
	for (size_t i = 0; i < manual_variable_count; i++) {
		buffer_printf(out, ".TP\n.B %s\n", manual_variables[i].name);
		write_roff_text(out, manual_variables[i].text);
	}
}

void manual_write_page(const struct manual *manual, const char *version, const char *date,
                       struct buffer *out)
{
	write_head(out, manual, version, date);
	if (manual == NULL) {
		buffer_append_text(out, ".B lastword\n.I COMMAND\n");
		write_roff_text(out, "[OPTION…]");
		buffer_append_text(out, ".br\n.B kubectl lastword\n.I COMMAND\n");
		write_roff_text(out, "[OPTION…]");
	} else {
		write_synopsis(out, manual);
	}
	buffer_append_text(out, ".SH DESCRIPTION\n");
	write_roff_text(out, manual == NULL ? manual_description : manual->description);
	if (manual == NULL) {
		write_commands(out);
	} else {
		write_options(out, manual);
		if (manual->notes != NULL) {
			buffer_append_text(out, ".SH NOTES\n");
			write_roff_text(out, manual->notes);
		}
	}
	buffer_append_text(out, ".SH EXIT STATUS\n");
	write_roff_text(out, manual == NULL ? "0 ok, 1 failed, 2 usage." : manual->statuses);
	if (manual == NULL)
		write_environment(out);
	buffer_append_text(out, manual == NULL ? ".SH SEE ALSO\n.BR kubectl (1)\n"
	                                       : ".SH SEE ALSO\n.BR lastword (1)\n");
}

/* ---- Markdown ---- */

/* In a cell of a table a | is escaped; in code nothing else is. */
static void write_cell(struct buffer *out, const char *text)
{
	for (; *text != '\0'; text++) {
		if (*text == '|')
			buffer_append_char(out, '\\');
		buffer_append_char(out, *text);
	}
}

/* Each line end begins a paragraph. */
static void write_paragraphs(struct buffer *out, const char *text)
{
	for (; *text != '\0'; text++)
		buffer_append_text(out, *text == '\n' ? "\n\n" : (char[]){*text, '\0'});
}

static void write_reference_of(struct buffer *out, const struct manual *manual)
{
	buffer_printf(out, "\n### lastword %s\n```synopsis\n", manual->name);
	for (const char *line = manual->synopsis; *line != '\0';) {
		size_t length = strcspn(line, "\n");
		buffer_printf(out, "lastword %s %.*s\n", manual->name, (int)length, line);
		line += length + (line[length] == '\n');
	}
	buffer_append_text(out, "```\n\n");
	write_paragraphs(out, manual->description);
	buffer_append_text(out, "\n\n| flag | meaning |\n|---|---|\n");
	for (size_t i = 0; i < manual->flag_count; i++) {
		const struct manual_flag *flag = &manual->flags[i];
		buffer_append_text(out, "| ");
		if (flag->letter != '\0')
			buffer_printf(out, "`-%c`, ", flag->letter);
		buffer_printf(out, "`--%s", flag->name);
		if (flag->value != NULL) {
			buffer_append_char(out, ' ');
			write_cell(out, flag->value);
		}
		buffer_append_text(out, "` | ");
		write_cell(out, flag->text);
		buffer_append_text(out, " |\n");
	}
	buffer_append_char(out, '\n');
	if (manual->notes != NULL) {
		write_paragraphs(out, manual->notes);
		buffer_append_char(out, ' ');
	}
	buffer_printf(out, "Exit status: %s\n", manual->statuses);
}

void manual_write_reference(struct buffer *out)
{
	for (size_t i = 0; i < manual_count; i++)
		write_reference_of(out, &manuals[i]);
	buffer_append_text(out, "\n### Environment\n| variable | meaning |\n|---|---|\n");
	for (size_t i = 0; i < manual_variable_count; i++) {
		buffer_printf(out, "| `%s` | ", manual_variables[i].name);
		write_cell(out, manual_variables[i].text);
		buffer_append_text(out, " |\n");
	}
}
