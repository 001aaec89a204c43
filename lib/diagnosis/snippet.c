#include "lib/diagnosis/snippet.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "lib/base/utf8.h"

/* How much of one line is looked at; the statement of a huge line is at its beginning. */
#define LINE_SCAN_MAX ((size_t)4096)
/* The same of a JSON line, where the statement may be behind a whole stack trace. */
#define JSON_SCAN_MAX ((size_t)65536)
#define CANDIDATES    12
#define CHOSEN_MAX    6
/* From this weight on a line says what was wrong; below it, it may at most hint. */
#define WEIGHT_TELLING 40
#define WEIGHT_HINTING 20
/* Lines further than this from the statement are another story. So is a statement this far from
 * the end of the output, unless it is fatal by its own word: it may be followed by long dumps. */
#define NEIGHBOURHOOD 200
#define WEIGHT_FATAL  80
/* From this weight on it is an exception, a panic, an abort. */
#define WEIGHT_ENDING 85
/* How many lines behind such a statement may belong to its message, and what they weigh. */
#define MESSAGE_LINES  3
#define WEIGHT_MESSAGE 38

enum place { ANYWHERE, AT_START, ALONE };

struct weight_row {
	const char *needle;
	unsigned char weight;
	unsigned char place;
};

/* What the lines look like that state the reason of an end; the highest match counts. */
static const struct weight_row weight_table[] = {
        /* Rust, Go */
        {" panicked at ", 95, ANYWHERE},
        {"panic: ", 95, AT_START},
        {"fatal error: ", 95, AT_START},
        {"runtime: out of memory", 95, ANYWHERE},
        {"[signal SIG", 60, AT_START},
        {"has overflowed its stack", 96, ANYWHERE},
        /* Java, Node, .NET */
        {"Caused by: ", 92, AT_START},
        {"[cause]: ", 92, AT_START},
        {"---> ", 92, AT_START},
        {"java.lang.OutOfMemoryError", 93, ANYWHERE},
        {"Terminating due to java.lang.OutOfMemoryError", 95, ANYWHERE},
        {"Exception in thread ", 88, ANYWHERE},
        {"Unhandled exception", 88, ANYWHERE},
        {"FATAL ERROR: ", 95, ANYWHERE},
        {"Uncaught ", 85, ANYWHERE},
        {"UnhandledPromiseRejection", 84, ANYWHERE},
        {"npm ERR! ", 55, AT_START},
        {"npm error ", 55, AT_START},
        {"npm ERR! code ", 58, AT_START},
        {"npm error code ", 58, AT_START},
        /* Elixir */
        {"** (", 92, AT_START},
        /* C, C++, glibc, sanitizers, shells */
        {"pure virtual method called", 96, AT_START},
        {"terminate called ", 95, ANYWHERE},
        {"*** stack smashing", 95, ANYWHERE},
        {"*** buffer overflow", 95, ANYWHERE},
        {"free(): ", 95, ANYWHERE},
        {"malloc(): ", 95, ANYWHERE},
        {"realloc(): ", 95, ANYWHERE},
        {"double free or corruption", 95, ANYWHERE},
        {"corrupted size vs. prev_size", 95, ANYWHERE},
        {"munmap_chunk(): ", 95, ANYWHERE},
        {"malloc_consolidate(): ", 95, ANYWHERE},
        {"Assertion `", 94, ANYWHERE},
        {"Assertion failed", 94, ANYWHERE},
        {"assertion failed", 93, ANYWHERE},
        {"AddressSanitizer: ", 95, ANYWHERE},
        {"runtime error: ", 90, ANYWHERE},
        {"Segmentation fault", 90, ANYWHERE},
        {"segmentation fault", 90, ANYWHERE},
        {"SIGSEGV", 88, ANYWHERE},
        {"Bus error", 90, ANYWHERE},
        {"std::bad_alloc", 90, ANYWHERE},
        {"Cannot allocate memory", 88, ANYWHERE},
        {"cannot allocate memory", 88, ANYWHERE},
        {"Out of memory", 86, ANYWHERE},
        {"out of memory", 86, ANYWHERE},
        {"OutOfMemory", 86, ANYWHERE},
        {"OOMKilled", 86, ANYWHERE},
        {"Killed", 60, AT_START},
        {" Killed  ", 60, ANYWHERE},
        {"Aborted", 45, AT_START},
        {"core dumped", 50, ANYWHERE},
        /* Levels */
        {"FATAL", 80, ANYWHERE},
        {"CRITICAL", 80, ANYWHERE},
        {"level=fatal", 80, ANYWHERE},
        {"level=panic", 80, ANYWHERE},
        {"[fatal]", 80, ANYWHERE},
        {"[emerg]", 80, ANYWHERE},
        {"[crit]", 80, ANYWHERE},
        {"fatal: ", 80, ANYWHERE},
        {"Fatal ", 75, ANYWHERE},
        {"EMERG", 80, ANYWHERE},
        {" FTL", 80, ANYWHERE},
        {"curl: (", 80, AT_START},
        {"ERROR", 70, ANYWHERE},
        {"ERR]", 70, ANYWHERE},
        {" ERR ", 70, ANYWHERE},
        {"level=error", 70, ANYWHERE},
        {"[error]", 70, ANYWHERE},
        {"Error: ", 72, ANYWHERE},
        {"error: ", 70, ANYWHERE},
        {"error[", 72, AT_START},
        {"Error ", 60, ANYWHERE},
        {" error ", 55, ANYWHERE},
        {"Exception", 65, ANYWHERE},
        {"exception", 50, ANYWHERE},
        /* Words of refusal */
        {"No space left on device", 74, ANYWHERE},
        {"no space left on device", 74, ANYWHERE},
        {"Disk quota exceeded", 74, ANYWHERE},
        {"No such file or directory", 66, ANYWHERE},
        {"no such file or directory", 66, ANYWHERE},
        {"ermission denied", 66, ANYWHERE},
        {"PermissionDenied", 66, ANYWHERE},
        {"Read-only file system", 66, ANYWHERE},
        {"not found", 52, ANYWHERE},
        {"onnection refused", 66, ANYWHERE},
        {"ECONNREFUSED", 66, ANYWHERE},
        {"ENOTFOUND", 66, ANYWHERE},
        {"he connection to the server ", 66, ANYWHERE},
        {"ddress already in use", 66, ANYWHERE},
        {"onnection reset", 64, ANYWHERE},
        {"no such host", 66, ANYWHERE},
        {"server misbehaving", 66, ANYWHERE},
        {"ailure resolving", 66, ANYWHERE},
        {"\": EOF", 64, ANYWHERE},
        {"resolve host", 66, ANYWHERE},
        {"ame or service not known", 66, ANYWHERE},
        {"ame resolution", 66, ANYWHERE},
        {"ame does not resolve", 66, ANYWHERE},
        {"bad address '", 66, ANYWHERE},
        {"certificate", 52, ANYWHERE},
        {"deadline exceeded", 64, ANYWHERE},
        {"timed out", 62, ANYWHERE},
        {"imeout", 50, ANYWHERE},
        {"iving up", 58, ANYWHERE},
        {"etries exceeded", 60, ANYWHERE},
        {"ailed", 52, ANYWHERE},
        {"FAILED", 54, ANYWHERE},
        {"ailure", 52, ANYWHERE},
        {"annot ", 50, ANYWHERE},
        {"an't ", 45, ANYWHERE},
        {"nable to ", 50, ANYWHERE},
        {"nauthorized", 54, ANYWHERE},
        {"orbidden", 54, ANYWHERE},
        {"nvalid ", 48, ANYWHERE},
        {"usage: ", 42, AT_START},
        {"borting", 46, ANYWHERE},
        {"WARN", 30, ANYWHERE},
        {"arning", 28, ANYWHERE},
};

/* A line with one of these weighs at most so much, whatever else it says. */
static const struct weight_row ceiling_table[] = {
        {"Traceback (most recent", 15, ANYWHERE},
        {"During handling of the above", 0, ANYWHERE},
        {"The above exception was", 0, ANYWHERE},
        {"A complete log of this run", 0, ANYWHERE},
        {"/_logs/", 0, ANYWHERE},
        {"(Background on this error", 0, AT_START},
        {"note: run with `RUST_BACKTRACE", 0, ANYWHERE},
        {"BEGIN failed--compilation aborted", 35, ANYWHERE},
        {": panic serving ", 35, ANYWHERE}, /* net/http of Go goes on */
        /* A parent tells that its command failed, which has said why. */
        {": *** [", 45, ANYWHERE},
        {"ommand failed with exit code", 45, ANYWHERE},
        {"rocess completed with exit code", 45, ANYWHERE},
        {"process didn't exit successfully", 45, ANYWHERE},
        {"BUILD FAILED", 45, AT_START},
        {"fatal: Could not read from remote repository", 50, AT_START},
        {"[ERROR]", 0, ALONE},
        {"[ERROR] To see the full stack trace", 0, AT_START},
        {"[ERROR] Re-run Maven", 0, AT_START},
        {"[ERROR] For more information", 0, AT_START},
        {"[ERROR] [Help", 0, AT_START},
        {" WARN", 30, ANYWHERE},
        {"WARN", 30, AT_START},
        {"[WARN", 30, ANYWHERE},
        {"[warn", 30, ANYWHERE},
        {"warn: ", 30, AT_START},
        {"arning: ", 30, ANYWHERE},
        {" WRN", 30, ANYWHERE},
        {"level=warn", 30, ANYWHERE},
        {" INFO ", 15, ANYWHERE},
        {"INFO", 15, AT_START},
        {"[INFO", 15, ANYWHERE},
        {"[info]", 15, ANYWHERE},
        {"info: ", 15, AT_START},
        {" INF ", 15, ANYWHERE},
        {" INF]", 15, ANYWHERE},
        {"level=info", 15, ANYWHERE},
        {" DEBUG ", 10, ANYWHERE},
        {"DEBUG", 10, AT_START},
        {"[DEBUG]", 10, ANYWHERE},
        {"level=debug", 10, ANYWHERE},
        {" 0 errors", 10, ANYWHERE},
        {" 0 failed", 10, ANYWHERE},
        {"0 failures", 10, ANYWHERE},
        {"no errors", 10, ANYWHERE},
        {"without error", 10, ANYWHERE},
        {"errors=0", 10, ANYWHERE},
        {"error=<nil>", 10, ANYWHERE},
        {"etrying in ", 35, ANYWHERE},
};

/* Python goes on, to its end, after the exception that comes next. */
static const char *const ignored_starts[] = {
        "Exception ignored ",
        "Error in atexit._run_exitfuncs",
        "--- Logging error ---",
};

/* An exception that only tells of another one, which was printed before it. */
static const char *const wrappers[] = {"RetryError[", "ChildFailedError", "RayTaskError("};
#define WEIGHT_WRAPPER 60

/* What a line of a stack trace begins with, after its indent. */
static const char *const frame_starts[] = {
        "at ",
        "File \"",
        "goroutine ",
        "created by ",
        "... ",
        "^",
        "~~~",
        "stack backtrace:",
        "Node.js v",
        "exit status ",
        "note: run ",
        "code: '",
        "--- End of",
        "errno: ",
        "syscall: '",
        "rax ",
        "Traceback (",
        "+-",
        "Error: exit status ",
        "Stack trace:",
        "----- ",
};

/* The rest of a statement may be in the next line, or always is. */
enum continues { CONTINUES_NOT, CONTINUES_MAYBE, CONTINUES };

struct line {
	char text[SNIPPET_SIZE_MAX + 1]; /* cleaned: valid UTF-8, no control characters */
	size_t length;
	size_t indent;    /* of the text before its indent was taken off */
	unsigned weight;  /* of its log level, when it is a JSON line; else 0 */
	unsigned ceiling; /* the most that it may weigh */
	bool frame;
};

struct candidate {
	size_t offset; /* of the line in the tail */
	size_t index;  /* its number */
	size_t value;
	uint64_t hash; /* of its text, digits aside */
	unsigned weight;
	bool goes_on; /* the next line belongs to it */
};

struct picker {
	const char *tail;
	size_t length;
	struct candidate best[CANDIDATES];
	size_t count;
	size_t lines;         /* of the tail */
	size_t last_lines[3]; /* offsets of the last lines that are no frames; newest last */
	size_t last_count;
	bool in_traceback; /* of Python: the next line without an indent is the statement */
	bool ignored;      /* Python said that it ignores what comes next */
	bool in_causes;    /* of Rust's anyhow: indented lines are ever deeper causes */
	char prefix[32];   /* what stood before the traceback in its line, as "[rank1]: " */
	size_t prefix_length;
};

static bool starts_with(const char *text, const char *start)
{
	return strncmp(text, start, strlen(start)) == 0;
}

static bool starts_with_any(const char *text, const char *const starts[], size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (starts_with(text, starts[i]))
			return true;
	return false;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Length of the terminal sequence at text (ECMA-48: CSI, OSC, or two bytes); 0: it is none. */
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

static void put(struct line *line, const char *bytes, size_t length)
{
	if (length <= SNIPPET_SIZE_MAX - line->length) {
		memcpy(line->text + line->length, bytes, length);
		line->length += length;
	} else {
		/* Nothing shorter may slip in behind what did not fit. */
		memset(line->text + line->length, ' ', SNIPPET_SIZE_MAX - line->length);
		line->length = SNIPPET_SIZE_MAX;
	}
}

/* A line or corner of a box is there (U+2500 to U+257F). */
static bool is_box(const char *text, size_t length)
{
	return length >= 3 && text[0] == '\xE2' && (text[1] == '\x94' || text[1] == '\x95');
}

/* Takes spaces, and the box that the text is drawn in, off both ends; remembers the indent. */
static void trim(struct line *line)
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

static void clean(const char *text, size_t length, struct line *line)
{
	line->length = 0;
	for (size_t i = 0; i < length && line->length < SNIPPET_SIZE_MAX;) {
		size_t skip = escape_sequence(text + i, length - i);
		if (skip > 0) {
			i += skip;
			continue;
		}
		size_t sequence = utf8_sequence(text + i, length - i);
		if (sequence == 0)
			put(line, "\xEF\xBF\xBD", 3);
		else if ((unsigned char)text[i] < 0x20 || text[i] == 0x7F)
			put(line, " ", 1);
		else
			put(line, text + i, sequence);
		i += sequence == 0 ? 1 : sequence;
	}
	trim(line);
}

/* --- JSON lines --- */

enum field { FIELD_NONE, FIELD_LEVEL, FIELD_MESSAGE, FIELD_ERROR_MESSAGE, FIELD_ERROR, FIELDS };

struct slice {
	const char *text;
	size_t length;
};

static enum field field_of(struct slice key)
{
	static const struct {
		const char *name;
		enum field field;
	} names[] = {
	        {"level", FIELD_LEVEL},
	        {"severity", FIELD_LEVEL},
	        {"lvl", FIELD_LEVEL},
	        {"levelname", FIELD_LEVEL},
	        {"log.level", FIELD_LEVEL},
	        {"@l", FIELD_LEVEL},
	        {"msg", FIELD_MESSAGE},
	        {"event", FIELD_MESSAGE},
	        {"@mt", FIELD_MESSAGE},
	        {"message", FIELD_ERROR_MESSAGE},
	        {"result", FIELD_ERROR_MESSAGE},
	        {"error", FIELD_ERROR},
	        {"err", FIELD_ERROR},
	        {"error.message", FIELD_ERROR},
	        {"exception", FIELD_ERROR},
	        {"exc_info", FIELD_ERROR},
	        {"stack_trace", FIELD_ERROR},
	        {"@x", FIELD_ERROR},
	};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (key.length == strlen(names[i].name) &&
		    memcmp(key.text, names[i].name, key.length) == 0)
			return names[i].field;
	return FIELD_NONE;
}

/* The end of the string whose opening quote is before start: its closing quote, or the end. */
static size_t string_end(const char *text, size_t length, size_t start)
{
	size_t i = start;
	while (i < length && text[i] != '"')
		i += text[i] == '\\' && i + 1 < length ? 2 : 1;
	return i;
}

/* Finds the known fields of a JSON object's text, at any depth, the first of each. */
static void find_fields(const char *text, size_t length, struct slice fields[FIELDS])
{
	enum field field = FIELD_NONE;
	for (size_t i = 0; i < length; i++) {
		if (text[i] == ',' || text[i] == '{' || text[i] == '}') {
			field = FIELD_NONE;
		} else if (text[i] == '"') {
			size_t end = string_end(text, length, i + 1);
			struct slice string = {text + i + 1, end - i - 1};
			bool key = end + 1 < length && text[end + 1] == ':';
			if (!key && field != FIELD_NONE && fields[field].length == 0)
				fields[field] = string;
			field = key ? field_of(string) : FIELD_NONE;
			i = end;
		} else if (is_digit(text[i]) && field == FIELD_LEVEL && fields[field].length == 0) {
			fields[field] = (struct slice){text + i, 2 <= length - i ? 2 : 1};
			field = FIELD_NONE;
		}
	}
}

/* The character of a \uXXXX, as far as it is one of ASCII; else '?'. */
static char unescape_unicode(struct slice digits)
{
	unsigned value = 0;
	for (size_t i = 0; i < 4; i++) {
		char c = i < digits.length ? digits.text[i] : 'x';
		if (!is_digit(c) && !((c | 0x20) >= 'a' && (c | 0x20) <= 'f'))
			return '?';
		value = value * 16 + (unsigned)(is_digit(c) ? c - '0' : (c | 0x20) - 'a' + 10);
	}
	return value < 0x80 ? (char)value : '?';
}

/* A JSON string's text, line ends as spaces; returns the length. */
static size_t unescape(struct slice string, char *out, size_t size)
{
	size_t used = 0;
	for (size_t i = 0; i < string.length && used < size; i++) {
		char c = string.text[i];
		if (c == '\\' && i + 1 < string.length) {
			c = string.text[++i];
			if (c == 'n' || c == 't' || c == 'r' || c == 'b' || c == 'f') {
				c = ' ';
			} else if (c == 'u') {
				struct slice digits = {string.text + i + 1, string.length - i - 1};
				c = unescape_unicode(digits);
				i += digits.length < 4 ? digits.length : 4;
			}
		}
		out[used++] = c;
	}
	return used;
}

static void weigh_level(struct slice level, struct line *line)
{
	static const struct {
		char start[4];
		unsigned char weight;
		unsigned char ceiling;
	} levels[] = {
	        {"fat", 80, 255}, {"pan", 80, 255}, {"cri", 80, 255}, {"eme", 80, 255},
	        {"err", 72, 255}, {"war", 30, 30},  {"inf", 10, 15},  {"deb", 5, 10},
	        {"tra", 5, 10},   {"60", 80, 255},  {"50", 72, 255},  {"40", 30, 30},
	        {"30", 10, 15},   {"20", 5, 10},    {"10", 5, 10},
	};
	for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
		size_t length = strlen(levels[i].start);
		if (level.length >= length &&
		    strncasecmp(level.text, levels[i].start, length) == 0) {
			line->weight = levels[i].weight;
			line->ceiling = levels[i].ceiling;
			return;
		}
	}
}

/* Where string has what for the last time; NULL: nowhere. */
static const char *find_last(struct slice string, const char *what)
{
	const char *found = NULL;
	size_t size = strlen(what);
	const char *end = string.text + string.length;
	for (const char *at = string.text;; found = at, at += size) {
		at = memmem(at, (size_t)(end - at), what, size);
		if (at == NULL)
			return found;
	}
}

/*
 * Of a text with a stack trace, the line before it and the one that says why: the last of a Python
 * traceback, the last "Caused by:" of a Java one. Of any other text, the whole of it.
 */
static void take_essence(struct slice string, struct slice ret_parts[2])
{
	static const char traceback[] = "Traceback (most recent call last)";
	const char *end = string.text + string.length;
	while (string.length >= 2 && memcmp(end - 2, "\\n", 2) == 0) {
		string.length -= 2;
		end -= 2;
	}
	const char *last = find_last(string, "\\n");
	const char *first_end = memmem(string.text, string.length, "\\n", 2);
	const char *cause = find_last(string, "\\nCaused by: ");
	bool stack = find_last(string, "\\n    at ") != NULL ||
	             find_last(string, "\\n   at ") != NULL ||
	             find_last(string, "\\n\\tat ") != NULL;
	bool python = memmem(string.text, string.length, traceback, strlen(traceback)) != NULL;
	ret_parts[0] = string;
	ret_parts[1] = (struct slice){end, 0};
	if (last == NULL || !(stack || python))
		return;
	ret_parts[0].length = (size_t)(first_end - string.text);
	if (python && find_last(ret_parts[0], traceback) != NULL)
		ret_parts[0].length = 0;
	if (!python)
		last = cause;
	if (last != NULL)
		ret_parts[1] = (struct slice){last + 2, (size_t)(end - last) - 2};
	const char *line = memmem(ret_parts[1].text, ret_parts[1].length, "\\n", 2);
	if (line != NULL)
		ret_parts[1].length = (size_t)(line - ret_parts[1].text);
}

/* Puts the message and the error in the place of the object; leaves the line if it has neither. */
static void read_json_line(const char *text, size_t length, struct line *line)
{
	struct slice fields[FIELDS] = {{0}};
	find_fields(text, length, fields);
	char joined[2 * FIELDS * (SNIPPET_SIZE_MAX / 2 + 2)];
	size_t used = 0;
	for (enum field field = FIELD_MESSAGE; field <= FIELD_ERROR; field++) {
		struct slice parts[2];
		if (fields[field].length == 0)
			continue;
		take_essence(fields[field], parts);
		for (size_t i = 0; i < 2; i++) {
			if (parts[i].length > 0 && used > 0) {
				joined[used++] = ':';
				joined[used++] = ' ';
			}
			used += unescape(parts[i], joined + used, SNIPPET_SIZE_MAX / 2);
		}
	}
	if (used == 0)
		return;
	clean(joined, used, line);
	weigh_level(fields[FIELD_LEVEL], line);
}

/* --- Lines --- */

/* The end of the line at start; the offset of its \n or the length of the tail. */
static size_t line_end(const char *tail, size_t length, size_t start)
{
	const char *end = memchr(tail + start, '\n', length - start);
	return end == NULL ? length : (size_t)(end - tail);
}

/* Rust's "7: core::panicking::panic", "7: <T as X>::call", "7: 0x55914f9eccd2 - main" */
static bool is_numbered_frame(const char *text)
{
	size_t digits = strspn(text, "0123456789");
	if (digits == 0 || !starts_with(text + digits, ": "))
		return false;
	text += digits + 1;
	text += strspn(text, " ");
	const char *path = strpbrk(text, ": ");
	return text[0] == '<' || starts_with(text, "0x") ||
	       (path != NULL && starts_with(path, "::"));
}

static bool is_frame(const struct line *line)
{
	const char *text = line->text;
	if (starts_with_any(text, frame_starts, sizeof frame_starts / sizeof *frame_starts))
		return true;
	/* Go: "	/usr/src/app/main.go:12 +0x1d" */
	if (line->indent > 0 && text[0] == '/' && strstr(text, " +0x") != NULL)
		return true;
	/* Argo's executor, the parent of the agent's command, tells of itself. */
	if (strstr(text, " argo=true") != NULL && strstr(text, "level=info") != NULL)
		return true;
	const char ruler[] = {text[0], '\0'};
	return (line->indent > 0 && is_numbered_frame(text)) || line->length <= 2 ||
	       strspn(text, ruler) == line->length;
}

/* Reads the line at [start, end) of the tail. */
static void read_line(const char *tail, size_t start, size_t end, struct line *ret_line)
{
	ret_line->weight = 0;
	ret_line->ceiling = 255;
	while (end > start && tail[end - 1] == '\r')
		end--;
	/* What a terminal shows of "10%\r20%\rdone" is the last drawing. */
	const char *drawing = memrchr(tail + start, '\r', end - start);
	if (drawing != NULL)
		start = (size_t)(drawing - tail) + 1;
	size_t length = end - start < LINE_SCAN_MAX ? end - start : LINE_SCAN_MAX;
	clean(tail + start, length, ret_line);
	if (ret_line->text[0] == '{') {
		length = end - start < JSON_SCAN_MAX ? end - start : JSON_SCAN_MAX;
		read_json_line(tail + start, length, ret_line);
	}
	/* Python draws the lines of an exception group behind "| ". */
	if (ret_line->indent > 0 && ret_line->text[0] == '|') {
		ret_line->text[0] = ' ';
		trim(ret_line);
		ret_line->indent -= ret_line->indent < 2 ? ret_line->indent : 2;
	}
	ret_line->frame = is_frame(ret_line);
}

/* "ValueError: …", "java.lang.IllegalStateException", "requests.exceptions.SSLError: …" */
static bool names_exception(const char *text)
{
	static const char *const ends[] = {"Error", "Exception", "Interrupt", "Exit", "Failure"};
	size_t length = 0;
	while (is_letter(text[length]) || is_digit(text[length]) || text[length] == '_' ||
	       text[length] == '.' || text[length] == '$')
		length++;
	if (text[length] != ':' && text[length] != '\0' && !starts_with(text + length, " [") &&
	    !starts_with(text + length, " ("))
		return false;
	for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
		size_t end = strlen(ends[i]);
		if (length >= end && memcmp(text + length - end, ends[i], end) == 0)
			return true;
	}
	return false;
}

/* The level of klog's and glog's "E1123 22:50:13.123456 …": I, W, E or F; else a NUL. */
static char klog_level(const char *text)
{
	bool date = text[0] != '\0' && strspn(text + 1, "0123456789") == 4 && text[5] == ' ';
	return date && strchr("IWEF", text[0]) != NULL ? text[0] : '\0';
}

static bool is_wrapper(const char *text)
{
	for (size_t i = 0; i < sizeof wrappers / sizeof *wrappers; i++)
		if (strstr(text, wrappers[i]) != NULL)
			return true;
	return false;
}

static bool row_matches(const struct weight_row *row, const char *text)
{
	if (row->place == ALONE)
		return strcmp(text, row->needle) == 0;
	return row->place == AT_START ? starts_with(text, row->needle)
	                              : strstr(text, row->needle) != NULL;
}

/* What the line weighs by its words, its level and its form; lowers its ceiling. */
static unsigned weigh(struct line *line)
{
	unsigned weight = line->weight;
	if (line->length <= 2)
		return 0;
	for (size_t i = 0; i < sizeof weight_table / sizeof *weight_table; i++)
		if (weight_table[i].weight > weight && row_matches(&weight_table[i], line->text))
			weight = weight_table[i].weight;
	if (weight < WEIGHT_ENDING && names_exception(line->text))
		weight = is_wrapper(line->text) ? WEIGHT_WRAPPER : WEIGHT_ENDING;
	char level = klog_level(line->text);
	if (weight < WEIGHT_FATAL && level == 'F')
		weight = WEIGHT_FATAL;
	if (weight < 70 && level == 'E')
		weight = 70;
	if (level == 'W' || level == 'I')
		line->ceiling = level == 'W' ? 30 : 15;
	for (size_t i = 0; i < sizeof ceiling_table / sizeof *ceiling_table; i++)
		if (ceiling_table[i].weight < line->ceiling &&
		    row_matches(&ceiling_table[i], line->text))
			line->ceiling = ceiling_table[i].weight;
	if (weight > line->ceiling)
		weight = line->ceiling;
	/* What is indented belongs to something else: a source line, a list, a usage text. */
	if (line->indent > 0 && weight > WEIGHT_TELLING && weight < 92)
		weight -= 10;
	return weight;
}

static uint64_t hash_line(const struct line *line)
{
	uint64_t hash = UINT64_C(14695981039346656037);
	for (size_t i = 0; i < line->length; i++)
		if (!is_digit(line->text[i]))
			hash = (hash ^ (unsigned char)line->text[i]) * UINT64_C(1099511628211);
	return hash;
}

/*
 * Keeps the CANDIDATES best; of two that differ in numbers only, the later one. Returns where the
 * candidate is kept until the next one comes; NULL: it is not.
 */
static struct candidate *keep(struct picker *picker, const struct candidate *candidate)
{
	size_t place = picker->count;
	for (size_t i = 0; i < picker->count; i++)
		if (picker->best[i].hash == candidate->hash)
			place = i;
	if (place == picker->count && picker->count == CANDIDATES) {
		place = 0;
		for (size_t i = 1; i < CANDIDATES; i++)
			if (picker->best[i].value < picker->best[place].value)
				place = i;
		if (picker->best[place].value > candidate->value)
			return NULL;
	} else if (place == picker->count) {
		picker->count++;
	}
	picker->best[place] = *candidate;
	return &picker->best[place];
}

static void begin_traceback(struct picker *picker, const struct line *line, const char *traceback)
{
	picker->in_traceback = true;
	picker->prefix_length = (size_t)(traceback - line->text);
	if (picker->prefix_length > sizeof picker->prefix)
		picker->prefix_length = 0;
	memcpy(picker->prefix, line->text, picker->prefix_length);
}

/* A frame, or the source line under one: what is indented, behind the traceback's own prefix,
 * which may count or tell the time. */
static bool is_in_traceback(const struct picker *picker, const struct line *line)
{
	size_t n = 0;
	while (n < picker->prefix_length && n < line->length &&
	       (line->text[n] == picker->prefix[n] ||
	        (is_digit(line->text[n]) && is_digit(picker->prefix[n]))))
		n++;
	if (n > 0 && n == picker->prefix_length && n < line->length)
		return line->text[n] == ' ';
	/* loguru marks a frame with a > */
	return line->indent > 0 || line->length == 0 || starts_with(line->text, "> File \"");
}

/* What the exception weighs that a traceback ends with. */
static unsigned weigh_exception(struct picker *picker, const struct line *line, unsigned weight)
{
	picker->in_traceback = false;
	if (picker->ignored) {
		picker->ignored = false;
		return WEIGHT_HINTING;
	}
	if (is_wrapper(line->text))
		return WEIGHT_WRAPPER;
	return weight > 93 ? weight : 93;
}

/* The weight that comes from the lines before, and what this line means for the next ones. */
static unsigned weigh_in_context(struct picker *picker, struct line *line)
{
	unsigned weight = weigh(line);
	const char *traceback = strstr(line->text, "Traceback (most recent call last)");
	if (traceback != NULL) {
		begin_traceback(picker, line, traceback);
		return 0;
	}
	if (picker->in_traceback && is_in_traceback(picker, line))
		return 0;
	if (starts_with_any(line->text, ignored_starts,
	                    sizeof ignored_starts / sizeof *ignored_starts)) {
		picker->ignored = true;
		return WEIGHT_HINTING;
	}
	if (picker->in_traceback || (picker->ignored && line->length > 0))
		return weigh_exception(picker, line, weight);
	/* Of color-eyre and boxes, an "Error:" or "Error" alone. */
	if (strcmp(line->text, "Caused by:") == 0 || strcmp(line->text, "Error:") == 0 ||
	    strcmp(line->text, "Error") == 0) {
		picker->in_causes = true;
		return 0;
	}
	if (picker->in_causes && line->indent > 0 && line->length > 0)
		return 86;
	picker->in_causes = false;
	return line->frame ? 0 : weight;
}

static enum continues continues(const char *text)
{
	size_t length = strlen(text);
	bool colon = length > 0 && text[length - 1] == ':';
	if ((colon && strstr(text, " panicked at ") != NULL) ||
	    strstr(text, "terminate called after throwing") != NULL)
		return CONTINUES;
	if (colon || starts_with(text, "npm error code ") || starts_with(text, "npm ERR! code "))
		return CONTINUES_MAYBE;
	return CONTINUES_NOT;
}

/* The line has a mark of carets or tildes under it, so it was quoted from a source file. */
static bool is_quoted(const struct picker *picker, size_t end)
{
	const char *tail = picker->tail;
	size_t i = end + 1;
	while (i < picker->length && (tail[i] == ' ' || tail[i] == '\t'))
		i++;
	if (i >= picker->length || (tail[i] != '^' && tail[i] != '~'))
		return false;
	return i + 1 == picker->length || strchr("^~ \r\n", tail[i + 1]) != NULL;
}

/* What a line may belong to: the statement before it. */
struct message {
	struct candidate *statement; /* as it is kept; NULL: it is not */
	unsigned weight;             /* of the statement */
	enum continues continues;    /* only for the line right behind it */
	unsigned lines;              /* how many more of its lines are worth showing */
};

/* Weighs the line at start as a candidate, in the light of the message before it. */
static void consider(struct picker *picker, struct message *message, const struct line *line,
                     unsigned weight, size_t start, size_t index)
{
	bool other = line->frame || picker->in_traceback || line->ceiling < WEIGHT_HINTING;
	bool less = weight <= message->weight && weight < WEIGHT_ENDING;
	if (message->continues == CONTINUES ||
	    (message->continues == CONTINUES_MAYBE && !other && less)) {
		if (message->statement != NULL)
			message->statement->goes_on = true;
		message->continues = CONTINUES_NOT;
		return;
	}
	if (other)
		message->lines = 0;
	if (message->lines > 0 && weight < WEIGHT_MESSAGE)
		weight = WEIGHT_MESSAGE;
	struct candidate candidate = {
	        .offset = start,
	        .index = index,
	        .hash = hash_line(line),
	        .weight = weight,
	        .value = weight * (size_t)8 + index,
	};
	if (weight >= WEIGHT_TELLING)
		candidate.value += SIZE_MAX / 2;
	message->lines -= message->lines > 0;
	if (weight >= WEIGHT_ENDING)
		message->lines = MESSAGE_LINES;
	message->weight = weight;
	message->continues = weight >= WEIGHT_TELLING ? continues(line->text) : CONTINUES_NOT;
	message->statement = weight >= WEIGHT_HINTING ? keep(picker, &candidate) : NULL;
}

static void survey(struct picker *picker)
{
	struct message message = {0};
	for (size_t start = 0; start < picker->length; picker->lines++) {
		size_t end = line_end(picker->tail, picker->length, start);
		struct line line;
		read_line(picker->tail, start, end, &line);
		line.frame |= is_quoted(picker, end);
		unsigned weight = weigh_in_context(picker, &line);
		consider(picker, &message, &line, weight, start, picker->lines);
		if (!line.frame && !picker->in_traceback) {
			picker->last_lines[0] = picker->last_lines[1];
			picker->last_lines[1] = picker->last_lines[2];
			picker->last_lines[2] = start;
			picker->last_count += picker->last_count < 3;
		}
		start = end + 1;
	}
}

/* --- Choosing --- */

/* Reads the line at offset; with goes_on, the next one is put behind it. */
static void read_whole(const struct picker *picker, size_t offset, bool goes_on,
                       const char *separator, struct line *ret_line)
{
	size_t end = line_end(picker->tail, picker->length, offset);
	read_line(picker->tail, offset, end, ret_line);
	if (!goes_on || end + 1 >= picker->length)
		return;
	struct line next;
	size_t next_end = line_end(picker->tail, picker->length, end + 1);
	read_line(picker->tail, end + 1, next_end, &next);
	if (next.length > 0 && next.length + 1 <= SNIPPET_SIZE_MAX - ret_line->length) {
		put(ret_line, separator, 1);
		put(ret_line, next.text, next.length);
	}
	ret_line->text[ret_line->length] = '\0';
}

/* Writes the lines of the chosen candidates, which are in the order of the tail. */
static void write_text(const struct picker *picker, const struct candidate *chosen, size_t count,
                       struct snippet *snippet)
{
	snippet->length = 0;
	for (size_t i = 0; i < count; i++) {
		struct line line;
		read_whole(picker, chosen[i].offset, chosen[i].goes_on, "\n", &line);
		size_t separator = snippet->length > 0;
		if (line.length + separator > SNIPPET_SIZE_MAX - snippet->length)
			continue;
		if (separator > 0)
			snippet->text[snippet->length++] = '\n';
		memcpy(snippet->text + snippet->length, line.text, line.length);
		snippet->length += line.length;
	}
	snippet->text[snippet->length] = '\0';
}

static size_t distance(size_t a, size_t b)
{
	return a < b ? b - a : a - b;
}

/* Puts the best of what is left into chosen while it fits, kept in the order of the tail. */
static size_t choose(struct picker *picker, struct candidate chosen[CHOSEN_MAX])
{
	size_t count = 0;
	size_t room = SNIPPET_SIZE_MAX;
	size_t statement = 0;
	while (count < CHOSEN_MAX && picker->count > 0) {
		size_t best = 0;
		for (size_t i = 1; i < picker->count; i++)
			if (picker->best[i].value > picker->best[best].value)
				best = i;
		struct candidate candidate = picker->best[best];
		picker->best[best] = picker->best[--picker->count];
		if (count == 0)
			statement = candidate.index;
		struct line line;
		read_whole(picker, candidate.offset, candidate.goes_on, "\n", &line);
		if (distance(candidate.index, statement) > NEIGHBOURHOOD ||
		    line.length + (count > 0) > room)
			continue;
		room -= line.length + (count > 0);
		size_t place = count++;
		for (; place > 0 && chosen[place - 1].offset > candidate.offset; place--)
			chosen[place] = chosen[place - 1];
		chosen[place] = candidate;
	}
	return count;
}

static struct candidate *best_of(struct picker *picker)
{
	struct candidate *best = NULL;
	for (size_t i = 0; i < picker->count; i++)
		if (best == NULL || picker->best[i].value > best->value)
			best = &picker->best[i];
	return best;
}

/* The best, once complaints of long ago are forgotten: the agent lived on after them. */
static const struct candidate *best_of_end(struct picker *picker)
{
	struct candidate *best = best_of(picker);
	while (best != NULL && best->weight < WEIGHT_FATAL &&
	       picker->lines - best->index > NEIGHBOURHOOD) {
		*best = picker->best[--picker->count];
		best = best_of(picker);
	}
	return best;
}

/* Without any candidate, the last lines are the candidates, the very last one the statement. */
static void fall_back(struct picker *picker)
{
	for (size_t i = 3 - picker->last_count; i < 3; i++)
		picker->best[picker->count++] = (struct candidate){
		        .offset = picker->last_lines[i],
		        .index = i,
		        .value = i,
		};
}

void snippet_pick(const char *tail, size_t length, struct snippet *ret_snippet)
{
	struct picker picker = {.tail = tail, .length = length};
	survey(&picker);
	memset(ret_snippet, 0, sizeof *ret_snippet);
	const struct candidate *best = best_of_end(&picker);
	ret_snippet->telling = best != NULL && best->weight >= WEIGHT_TELLING;
	if (!ret_snippet->telling) {
		picker.count = 0;
		fall_back(&picker);
		best = best_of(&picker);
	}
	if (best == NULL)
		return;
	struct line line;
	read_whole(&picker, best->offset, best->goes_on, " ", &line);
	memcpy(ret_snippet->statement, line.text, line.length);
	ret_snippet->statement_length = line.length;
	struct candidate chosen[CHOSEN_MAX];
	size_t count = choose(&picker, chosen);
	write_text(&picker, chosen, count, ret_snippet);
}
