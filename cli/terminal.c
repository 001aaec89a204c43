#include "cli/terminal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "lib/base/buffer.h"
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

static bool in_ranges(const struct range *ranges, size_t count, uint32_t point)
{
	for (size_t i = 0; i < count; i++)
		if (point >= ranges[i].first && point <= ranges[i].last)
			return true;
	return false;
}
#define IN(ranges, point) in_ranges(ranges, sizeof(ranges) / sizeof(ranges)[0], point)

/* Controls, line and paragraph separators, what turns the direction of writing (CVE-2021-42574),
 * what is invisible, and tags. The joiners of emoji and of Indic scripts stay. */
static const struct range harmful[] = {
        {0x00, 0x1f},     {0x7f, 0x9f},     {0xad, 0xad},     {0x61c, 0x61c},
        {0x180e, 0x180e}, {0x200b, 0x200b}, {0x200e, 0x200f}, {0x2028, 0x202e},
        {0x2060, 0x206f}, {0xfeff, 0xfeff}, {0xfff9, 0xfffb}, {0xe0000, 0xe0fff},
};

/* General categories Mn and Me where they are common, and the joiners. */
static const struct range zero_width[] = {
        {0x300, 0x36f},   {0x483, 0x489},   {0x591, 0x5bd},   {0x610, 0x61a},   {0x64b, 0x65f},
        {0x900, 0x902},   {0x93c, 0x93c},   {0x941, 0x948},   {0x94d, 0x94d},   {0xe31, 0xe31},
        {0xe34, 0xe3a},   {0xe47, 0xe4e},   {0x1ab0, 0x1aff}, {0x1dc0, 0x1dff}, {0x200c, 0x200d},
        {0x20d0, 0x20ff}, {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f},
};

/* EastAsianWidth W and F. */
static const struct range wide[] = {
        {0x1100, 0x115f},   {0x231a, 0x231b},   {0x23e9, 0x23ec},   {0x23f0, 0x23f0},
        {0x23f3, 0x23f3},   {0x25fd, 0x25fe},   {0x2614, 0x2615},   {0x2648, 0x2653},
        {0x267f, 0x267f},   {0x2693, 0x2693},   {0x26a1, 0x26a1},   {0x26aa, 0x26ab},
        {0x26bd, 0x26be},   {0x26c4, 0x26c5},   {0x26ce, 0x26ce},   {0x26d4, 0x26d4},
        {0x26ea, 0x26ea},   {0x26f2, 0x26f3},   {0x26f5, 0x26f5},   {0x26fa, 0x26fa},
        {0x26fd, 0x26fd},   {0x2705, 0x2705},   {0x270a, 0x270b},   {0x2728, 0x2728},
        {0x274c, 0x274c},   {0x274e, 0x274e},   {0x2753, 0x2755},   {0x2757, 0x2757},
        {0x2795, 0x2797},   {0x27b0, 0x27b0},   {0x27bf, 0x27bf},   {0x2b1b, 0x2b1c},
        {0x2b50, 0x2b50},   {0x2b55, 0x2b55},   {0x2e80, 0x303e},   {0x3041, 0x33ff},
        {0x3400, 0x4dbf},   {0x4e00, 0x9fff},   {0xa000, 0xa4cf},   {0xa960, 0xa97f},
        {0xac00, 0xd7a3},   {0xf900, 0xfaff},   {0xfe30, 0xfe6f},   {0xff00, 0xff60},
        {0xffe0, 0xffe6},   {0x16fe0, 0x18cff}, {0x1b000, 0x1b2ff}, {0x1f004, 0x1f004},
        {0x1f0cf, 0x1f0cf}, {0x1f18e, 0x1f18e}, {0x1f191, 0x1f19a}, {0x1f200, 0x1f320},
        {0x1f32d, 0x1f335}, {0x1f337, 0x1f37c}, {0x1f37e, 0x1f393}, {0x1f3a0, 0x1f3ca},
        {0x1f3cf, 0x1f3d3}, {0x1f3e0, 0x1f3f0}, {0x1f3f4, 0x1f3f4}, {0x1f3f8, 0x1f43e},
        {0x1f440, 0x1f440}, {0x1f442, 0x1f4fc}, {0x1f4ff, 0x1f53d}, {0x1f54b, 0x1f54e},
        {0x1f550, 0x1f567}, {0x1f57a, 0x1f57a}, {0x1f595, 0x1f596}, {0x1f5a4, 0x1f5a4},
        {0x1f5fb, 0x1f64f}, {0x1f680, 0x1f6c5}, {0x1f6cc, 0x1f6cc}, {0x1f6d0, 0x1f6d2},
        {0x1f6d5, 0x1f6d7}, {0x1f6dc, 0x1f6df}, {0x1f6eb, 0x1f6ec}, {0x1f6f4, 0x1f6fc},
        {0x1f7e0, 0x1f7eb}, {0x1f7f0, 0x1f7f0}, {0x1f90c, 0x1f93a}, {0x1f93c, 0x1f945},
        {0x1f947, 0x1f9ff}, {0x1fa70, 0x1faff}, {0x20000, 0x3fffd},
};

/* The code point of a valid sequence. */
static uint32_t decode(const char *bytes, size_t length)
{
	const unsigned char *b = (const unsigned char *)bytes;
	switch (length) {
	case 1:
		return b[0];
	case 2:
		return (b[0] & 0x1fU) << 6 | (b[1] & 0x3fU);
	case 3:
		return (b[0] & 0xfU) << 12 | (b[1] & 0x3fU) << 6 | (b[2] & 0x3fU);
	default:
		return (b[0] & 0x7U) << 18 | (b[1] & 0x3fU) << 12 | (b[2] & 0x3fU) << 6 |
		       (b[3] & 0x3fU);
	}
}

static size_t columns_of(uint32_t point)
{
	if (point < 0x300)
		return 1;
	return IN(zero_width, point) ? 0 : IN(wide, point) ? 2 : 1;
}

/* Appends the character at text; returns how many bytes it was. */
static size_t append_safe(struct buffer *out, const char *text, size_t rest)
{
	size_t length = utf8_sequence(text, rest);
	if (length == 1 && *text >= ' ' && *text != '\x7f') {
		buffer_append_char(out, *text);
		return 1;
	}
	if (length == 0 || IN(harmful, decode(text, length)))
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
	/* The last drawing; a CR before the line end is the end of a line of Windows. */
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
		uint32_t point = step == 0 ? 0xfffd : decode(json, step);
		/* Line ends of the layout stay: inside strings JSON has escaped them. */
		if (point == '\n' || !IN(harmful, point)) {
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
		columns += step == 0 ? 1 : columns_of(decode(text, step));
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
		size_t columns = step == 0 ? 1 : columns_of(decode(text + taken, step));
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
		columns -= step == 0 ? 1 : columns_of(decode(text, step));
		text += step == 0 ? 1 : step;
	}
	/* Nothing that combines with what was cut off. */
	for (size_t step;
	     (step = utf8_sequence(text, strlen(text))) > 0 && columns_of(decode(text, step)) == 0;)
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
	int64_t seconds = nanoseconds / 1000000000;
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

/* ---- Tables ---- */

struct layout {
	const struct table_column *columns;
	size_t count;
	size_t widths[TABLE_COLUMNS_MAX]; /* 0: left out */
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

/* The shown column whose turn it is; SIZE_MAX: none. */
static size_t shrinks_at(const struct layout *layout, unsigned turn)
{
	for (size_t c = 0; c < layout->count; c++)
		if (layout->widths[c] > 0 && layout->columns[c].shrinks == turn)
			return c;
	return SIZE_MAX;
}

static size_t goes_at(const struct layout *layout, unsigned turn)
{
	for (size_t c = 0; c < layout->count; c++)
		if (layout->columns[c].goes == turn)
			return c;
	return SIZE_MAX;
}

static void shrink(struct layout *layout, size_t width)
{
	for (unsigned turn = 1; turn <= TABLE_COLUMNS_MAX; turn++) {
		size_t total = total_width(layout);
		size_t c = shrinks_at(layout, turn);
		if (total <= width)
			return;
		if (c == SIZE_MAX || layout->widths[c] <= layout->columns[c].least)
			continue;
		size_t spare = layout->widths[c] - layout->columns[c].least;
		layout->widths[c] -= spare < total - width ? spare : total - width;
	}
}

/* How narrow the columns could get all together. */
static size_t least_width(const struct layout *layout)
{
	struct layout least = *layout;
	shrink(&least, 0);
	return total_width(&least);
}

static void fit(struct layout *layout, size_t width)
{
	if (total_width(layout) <= width)
		return;
	if (least_width(layout) > width)
		layout->gap = 2;
	for (unsigned turn = 1; turn <= TABLE_COLUMNS_MAX && least_width(layout) > width; turn++) {
		size_t c = goes_at(layout, turn);
		if (c != SIZE_MAX)
			layout->widths[c] = 0;
	}
	shrink(layout, width);
}

/* cells NULL: the head. */
static void print_row(struct buffer *out, const struct layout *layout, const char *const *cells)
{
	size_t start = out->length;
	size_t owed = 0;
	for (size_t c = 0; c < layout->count; c++) {
		size_t width = layout->widths[c];
		if (width == 0)
			continue;
		buffer_printf(out, "%*s", (int)owed, "");
		size_t before = out->length;
		const char *cell = cells == NULL ? layout->columns[c].title : cells[c];
		terminal_cut(out, cell, width, layout->columns[c].middle);
		owed = width - terminal_columns(buffer_text(out) + before) + layout->gap;
	}
	size_t end = out->length;
	while (end > start && out->data[end - 1] == ' ')
		end--;
	buffer_truncate(out, end);
	buffer_append_char(out, '\n');
}

void table_print(struct buffer *out, const struct table_column *columns, size_t count,
                 const char *const *cells, size_t rows, size_t width)
{
	struct layout layout = {.columns = columns, .count = count, .gap = 3};
	for (size_t c = 0; c < count; c++) {
		layout.widths[c] = strlen(columns[c].title);
		for (size_t r = 0; r < rows; r++) {
			size_t needed = terminal_columns(cells[r * count + c]);
			if (needed > layout.widths[c])
				layout.widths[c] = needed;
		}
	}
	fit(&layout, width);
	print_row(out, &layout, NULL);
	for (size_t r = 0; r < rows; r++)
		print_row(out, &layout, cells + r * count);
}
