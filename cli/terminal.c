#include "cli/terminal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <uniwidth.h>

#include "lib/base/buffer.h"
#include "lib/base/clock.h"
#include "lib/base/utf8.h"

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */
#define ELLIPSIS    "\xe2\x80\xa6" /* U+2026 */
#define ESCAPE      '\x1b'

size_t terminal_width(void)
{
	struct winsize size;
	const char *columns = getenv("COLUMNS");
	char *end;
	if (columns != NULL && columns[0] >= '1' && columns[0] <= '9') {
		unsigned long width = strtoul(columns, &end, 10);
		if (*end == '\0')
			return width;
	}
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
		return size.ws_col;
	return SIZE_MAX;
}

/* ---- Characters ---- */

struct range {
	uint32_t first;
	uint32_t last;
};

/* Control characters, line and paragraph separators, bidirectional controls (CVE-2021-42574),
 * invisible characters, and tags. The joiners of emoji and of Indic scripts stay. */
static const struct range harmful[] = {
        {0x00, 0x1f},     {0x7f, 0x9f},     {0xad, 0xad},     {0x61c, 0x61c},
        {0x180e, 0x180e}, {0x200b, 0x200b}, {0x200e, 0x200f}, {0x2028, 0x202e},
        {0x2060, 0x206f}, {0xfeff, 0xfeff}, {0xfff9, 0xfffb}, {0xe0000, 0xe0fff},
};

static bool is_harmful(uint32_t point)
{
	for (size_t i = 0; i < sizeof harmful / sizeof harmful[0]; i++)
		if (point >= harmful[i].first && point <= harmful[i].last)
			return true;
	return false;
}

/* Columns of a character that is safe for a terminal. */
static size_t columns_of(uint32_t point)
{
	int width = uc_width(point, "UTF-8");
	return width < 0 ? 1 : (size_t)width;
}

/* Appends the character at text; returns how many bytes it was. */
static size_t append_safe(struct buffer *out, const char *text, size_t rest)
{
	size_t length = utf8_sequence(text, rest);
	if (length == 1 && *text >= ' ' && *text != '\x7f') {
		buffer_append_char(out, *text);
		return 1;
	}
	if (length == 0 || is_harmful(utf8_code_point(text, length)))
		buffer_append_text(out, *text == ESCAPE ? "^[" : REPLACEMENT);
	else
		buffer_append(out, text, length);
	return length == 0 ? 1 : length;
}

/* Length of a CSI sequence at text (ECMA-48, 5.4), 0: there is none. */
static size_t control_sequence(const char *text, size_t length)
{
	size_t i = 2;
	if (length < 3 || text[0] != ESCAPE || text[1] != '[')
		return 0;
	while (i < length && text[i] >= 0x20 && text[i] <= 0x3f)
		i++;
	return i < length && text[i] >= 0x40 && text[i] <= 0x7e ? i + 1 : 0;
}

void terminal_line(struct buffer *out, const char *text)
{
	for (size_t rest = strlen(text); rest > 0;) {
		size_t length = control_sequence(text, rest);
		if (*text == '\n' || *text == '\t' || *text == '\r') {
			buffer_append_char(out, ' ');
			length = 1;
		} else if (length == 0) {
			length = append_safe(out, text, rest);
		}
		text += length;
		rest -= length;
	}
}

static void append_block_line(struct buffer *out, const char *line, size_t length)
{
	/* What follows the last CR; a CR before the line end belongs to a line end of Windows. */
	while (length > 0 && line[length - 1] == '\r')
		length--;
	const char *redrawn = length == 0 ? NULL : memrchr(line, '\r', length);
	if (redrawn != NULL) {
		length -= (size_t)(redrawn + 1 - line);
		line = redrawn + 1;
	}
	while (length > 0) {
		size_t step = control_sequence(line, length);
		if (step == 0 && *line == '\t') {
			buffer_append_char(out, '\t');
			step = 1;
		} else if (step == 0) {
			step = append_safe(out, line, length);
		}
		line += step;
		length -= step;
	}
	buffer_append_char(out, '\n');
}

void terminal_block(struct buffer *out, const char *text, const char *indent)
{
	while (*text != '\0') {
		const char *end = strchrnul(text, '\n');
		buffer_append_text(out, indent);
		append_block_line(out, text, (size_t)(end - text));
		text = *end == '\0' ? end : end + 1;
	}
}

void terminal_json(struct buffer *out, const char *json, size_t length)
{
	while (length > 0) {
		size_t step = utf8_sequence(json, length);
		uint32_t point = step == 0 ? 0xfffd : utf8_code_point(json, step);
		/* Line ends of the layout stay: inside strings JSON has escaped them. */
		if (point == '\n' || !is_harmful(point)) {
			buffer_append(out, step == 0 ? REPLACEMENT : json, step == 0 ? 3 : step);
		} else if (point > 0xffff) {
			buffer_printf(out, "\\u%04x\\u%04x", 0xd800 + ((point - 0x10000) >> 10),
			              0xdc00 + ((point - 0x10000) & 0x3ff));
		} else {
			buffer_printf(out, "\\u%04x", point);
		}
		step = step == 0 ? 1 : step;
		json += step;
		length -= step;
	}
}

size_t terminal_columns(const char *text)
{
	size_t columns = 0;
	for (size_t rest = strlen(text); rest > 0;) {
		size_t step = utf8_sequence(text, rest);
		columns += step == 0 ? 1 : columns_of(utf8_code_point(text, step));
		step = step == 0 ? 1 : step;
		text += step;
		rest -= step;
	}
	return columns;
}

/* Bytes of the first characters that take at most width columns, with what combines with them. */
static size_t head_bytes(const char *text, size_t width)
{
	size_t length = strlen(text);
	size_t taken = 0;
	while (taken < length) {
		size_t step = utf8_sequence(text + taken, length - taken);
		size_t columns = step == 0 ? 1 : columns_of(utf8_code_point(text + taken, step));
		if (columns > width)
			break;
		width -= columns;
		taken += step == 0 ? 1 : step;
	}
	return taken;
}

/* Where the last characters begin that take at most width columns. */
static const char *tail_start(const char *text, size_t width)
{
	size_t columns = terminal_columns(text);
	while (*text != '\0' && columns > width) {
		size_t step = utf8_sequence(text, strlen(text));
		columns -= step == 0 ? 1 : columns_of(utf8_code_point(text, step));
		text += step == 0 ? 1 : step;
	}
	/* Nothing that combines with what was cut off. */
	for (size_t step; (step = utf8_sequence(text, strlen(text))) > 0 &&
	                  columns_of(utf8_code_point(text, step)) == 0;)
		text += step;
	return text;
}

void terminal_cut(struct buffer *out, const char *text, size_t width, bool middle)
{
	if (terminal_columns(text) <= width) {
		buffer_append_text(out, text);
		return;
	}
	size_t tail = middle ? (width - 1) / 2 : 0;
	buffer_append(out, text, head_bytes(text, width - 1 - tail));
	buffer_append_text(out, ELLIPSIS);
	if (tail > 0)
		buffer_append_text(out, tail_start(text, tail));
}

/* duration.HumanDuration of k8s.io/apimachinery. */
void terminal_age(struct buffer *out, int64_t nanoseconds)
{
	int64_t seconds = nanoseconds / SECOND;
	static const struct {
		int64_t below; /* seconds */
		int64_t unit;
		int64_t part; /* 0: not shown */
		const char *unit_name;
		const char *part_name;
	} rows[] = {
	        {INT64_C(120), 1, 0, "s", ""},
	        {INT64_C(600), 60, 1, "m", "s"},
	        {INT64_C(3) * 3600, 60, 0, "m", ""},
	        {INT64_C(8) * 3600, 3600, 60, "h", "m"},
	        {INT64_C(48) * 3600, 3600, 0, "h", ""},
	        {INT64_C(8) * 86400, 86400, 3600, "d", "h"},
	        {INT64_C(730) * 86400, 86400, 0, "d", ""},
	        {INT64_C(2920) * 86400, INT64_C(365) * 86400, 86400, "y", "d"},
	        {INT64_MAX, INT64_C(365) * 86400, 0, "y", ""},
	};
	size_t i = 0;
	if (seconds < 0)
		seconds = 0; /* the server's clock is ahead of ours */
	while (seconds >= rows[i].below)
		i++;
	buffer_printf(out, "%lld%s", (long long)(seconds / rows[i].unit), rows[i].unit_name);
	if (rows[i].part != 0 && seconds % rows[i].unit / rows[i].part > 0)
		buffer_printf(out, "%lld%s", (long long)(seconds % rows[i].unit / rows[i].part),
		              rows[i].part_name);
}
