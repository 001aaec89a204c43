#include "lib/diagnosis/log_line.h"

#include <string.h>

#include "lib/base/ascii.h"
#include "lib/base/utf8.h"
#include "lib/diagnosis/json_line.h"
#include "lib/diagnosis/log_prefix.h"

/* Length of the terminal sequence at text (ECMA-48: CSI, OSC, or two bytes); 0 if there is none. */
static size_t escape_sequence(const char *text, size_t length)
{
	if (length < 2 || text[0] != '\033')
		return 0;
	size_t i = 2;
	if (text[1] == '[') {
		while (i < length && (unsigned char)text[i] >= 0x20 &&
		       (unsigned char)text[i] < 0x40)
			i++;
		return i < length ? i + 1 : i;
	}
	if (text[1] == ']') {
		while (i < length && text[i] != '\a' && text[i] != '\033')
			i++;
		return i < length && text[i] == '\a' ? i + 1 : i;
	}
	return i;
}

static void put(struct log_line *line, const char *bytes, size_t length)
{
	if (length <= LOG_LINE_MAX - line->length) {
		memcpy(line->text + line->length, bytes, length);
		line->length += length;
	} else {
		/* Nothing shorter may slip in behind what did not fit. */
		memset(line->text + line->length, ' ', LOG_LINE_MAX - line->length);
		line->length = LOG_LINE_MAX;
	}
}

/* A line or corner of a box is there (U+2500 to U+257F). */
static bool is_box(const char *text, size_t length)
{
	return length >= 3 && text[0] == '\xE2' && (text[1] == '\x94' || text[1] == '\x95');
}

/* Takes spaces, and the box that the text is drawn in, off both ends; remembers the indent. */
static void trim(struct log_line *line)
{
	const char *text = line->text;
	size_t start = 0;
	size_t end = line->length;
	line->indent = 0;
	for (; start < end && (text[start] == ' ' || is_box(text + start, end - start));
	     line->indent++)
		start += text[start] == ' ' ? 1 : 3;
	while (end > start &&
	       (text[end - 1] == ' ' || (end - start >= 3 && is_box(text + end - 3, 3))))
		end -= text[end - 1] == ' ' ? 1 : 3;
	line->length = end - start;
	memmove(line->text, line->text + start, line->length);
	line->text[line->length] = '\0';
}

static void clean(const char *text, size_t length, struct log_line *line)
{
	line->length = 0;
	for (size_t i = 0; i < length && line->length < LOG_LINE_MAX;) {
		if (text[i] >= ' ' && text[i] <= '~') {
			line->text[line->length++] = text[i++];
			continue;
		}
		size_t skip = escape_sequence(text + i, length - i);
		if (skip > 0) {
			i += skip;
			continue;
		}
		size_t sequence = utf8_sequence(text + i, length - i);
		if (sequence == 0)
			put(line, "\xEF\xBF\xBD", 3);
		else if (sequence == 1)
			put(line, " ", 1);
		else
			put(line, text + i, sequence);
		i += sequence == 0 ? 1 : sequence;
	}
	trim(line);
}

static void read_json(const char *bytes, size_t length, struct log_line *line)
{
	char text[LOG_LINE_MAX];
	struct json_line object;
	size_t used = json_line_read(bytes, length, text, sizeof text, &object);
	line->transcript = object.transcript;
	line->says_error = object.says_error;
	if (used == 0)
		return;
	clean(text, used, line);
	line->level = object.level;
	line->json = true;
}

/* The value of a logfmt pair whose key is at key, between quotes or up to a space. */
static size_t logfmt_value(const char *key, const char **ret_value)
{
	const char *value = strchr(key, '=') + 1;
	bool quoted = *value == '"';
	*ret_value = value += quoted;
	size_t length = 0;
	while (value[length] != '\0' && value[length] != (quoted ? '"' : ' '))
		length += value[length] == '\\' && value[length + 1] != '\0' ? 2 : 1;
	return length;
}

/* Of a logfmt line (time=… level=error msg="…" err="…"), message and error. */
static void read_logfmt(struct log_line *line)
{
	static const char *const keys[] = {" err=", " error="};
	const char *message = strstr(line->text, "msg=");
	const char *value;
	if (message == NULL || strstr(line->text, "level=") == NULL)
		return;
	char text[LOG_LINE_MAX];
	size_t used = logfmt_value(message, &value);
	memcpy(text, value, used);
	for (size_t i = 0; i < 2; i++) {
		const char *error = strstr(message, keys[i]);
		size_t length = error == NULL ? 0 : logfmt_value(error, &value);
		if (length == 0 || used + length + 2 > sizeof text)
			continue;
		text[used] = ':';
		text[used + 1] = ' ';
		memcpy(text + used + 2, value, length);
		used += length + 2;
	}
	if (used == 0)
		return;
	clean(text, used, line);
	line->json = true;
}

void log_line_read(const char *bytes, size_t length, struct log_line *ret_line)
{
	struct log_line *line = ret_line;
	line->level = LOG_LEVEL_NONE;
	line->json = line->says_error = line->transcript = false;
	while (length > 0 && bytes[length - 1] == '\r')
		length--;
	/* What a terminal shows of "10%\r20%\rdone" is the last drawing. */
	const char *drawing = memrchr(bytes, '\r', length);
	if (drawing != NULL) {
		length -= (size_t)(drawing + 1 - bytes);
		bytes = drawing + 1;
	}
	clean(bytes, length < LOG_LINE_MAX ? length : LOG_LINE_MAX, line);
	const char *brace = memchr(bytes, '{', length < 64 ? length : 64);
	if (line->text[0] == '{' && brace != NULL) {
		length -= (size_t)(brace - bytes);
		read_json(brace, length < LOG_LINE_JSON_MAX ? length : LOG_LINE_JSON_MAX, line);
	}
	/* Python draws the lines of an exception group behind "| ", the JVM its report behind "# ".
	 */
	if ((line->indent > 0 && line->text[0] == '|') || strncmp(line->text, "# ", 2) == 0) {
		line->text[0] = ' ';
		trim(line);
		line->indent -= line->indent < 2 ? line->indent : 2;
	}
	struct log_prefix prefix;
	log_prefix_read(line->text, line->length, &prefix);
	line->message = line->json ? 0 : prefix.length;
	if (!line->json)
		line->level = prefix.level;
	if (!line->json && line->level != LOG_LEVEL_NONE &&
	    strstr(line->text, " argo=true") == NULL) {
		size_t indent = line->indent;
		read_logfmt(line);
		line->indent = indent;
	}
	if (line->json)
		line->message = 0;
	for (size_t i = 0; i <= line->length; i++)
		line->folded[i] = ascii_to_lower(line->text[i]);
}
