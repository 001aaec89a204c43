#include "lib/diagnosis/json_line.h"

#include <string.h>

#include "lib/base/ascii.h"

enum member {
	MEMBER_NONE,
	MEMBER_LEVEL,
	MEMBER_TYPE,
	MEMBER_IS_ERROR,
	MEMBER_KIND, /* of the error: its code, or the type that comes second */
	MEMBER_MESSAGE,
	MEMBER_ERROR_MESSAGE,
	MEMBER_ERROR,
	MEMBERS
};

#define PART_MAX ((size_t)1200) /* bytes of one part of the text */

struct slice {
	const char *text;
	size_t length;
};

static enum member member_of(struct slice key)
{
	static const struct {
		const char *name;
		enum member member;
	} names[] = {
	        {"level", MEMBER_LEVEL},
	        {"severity", MEMBER_LEVEL},
	        {"lvl", MEMBER_LEVEL},
	        {"levelname", MEMBER_LEVEL},
	        {"log.level", MEMBER_LEVEL},
	        {"@l", MEMBER_LEVEL},
	        {"loglevel", MEMBER_LEVEL},
	        {"log_level", MEMBER_LEVEL},
	        {"type", MEMBER_TYPE},
	        {"is_error", MEMBER_IS_ERROR},
	        {"isError", MEMBER_IS_ERROR},
	        {"msg", MEMBER_MESSAGE},
	        {"event", MEMBER_MESSAGE},
	        {"@mt", MEMBER_MESSAGE},
	        {"@m", MEMBER_MESSAGE},
	        {"textPayload", MEMBER_MESSAGE},
	        {"message", MEMBER_ERROR_MESSAGE},
	        {"result", MEMBER_ERROR_MESSAGE},
	        {"error", MEMBER_ERROR},
	        {"err", MEMBER_ERROR},
	        {"error.message", MEMBER_ERROR},
	        {"errorMessage", MEMBER_ERROR},
	        {"error_message", MEMBER_ERROR},
	        {"exception", MEMBER_ERROR},
	        {"exc_info", MEMBER_ERROR},
	        {"stack_trace", MEMBER_ERROR},
	        {"@x", MEMBER_ERROR},
	        {"detail", MEMBER_ERROR},
	        {"code", MEMBER_KIND},
	};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (key.length == strlen(names[i].name) &&
		    memcmp(key.text, names[i].name, key.length) == 0)
			return names[i].member;
	return MEMBER_NONE;
}

/* The end of the string whose opening quote is before start: its closing quote, or the end. */
static size_t string_end(const char *text, size_t length, size_t start)
{
	size_t i = start;
	while (i < length && text[i] != '"')
		i += text[i] == '\\' && i + 1 < length ? 2 : 1;
	return i;
}

/* Finds the known members of an object's text, at any depth, the first of each. */
static void find_members(const char *text, size_t length, struct slice members[MEMBERS])
{
	enum member member = MEMBER_NONE;
	for (size_t i = 0; i < length; i++) {
		if (text[i] == ',' || text[i] == '{' || text[i] == '}') {
			member = MEMBER_NONE;
		} else if (text[i] == '"') {
			size_t end = string_end(text, length, i + 1);
			struct slice string = {text + i + 1, end - i - 1};
			size_t colon = end + 1;
			while (colon < length && text[colon] == ' ')
				colon++;
			bool key = colon < length && text[colon] == ':';
			if (!key && member != MEMBER_NONE && members[member].length == 0)
				members[member] = string;
			member = key ? member_of(string) : MEMBER_NONE;
			if (member == MEMBER_TYPE && members[member].length > 0)
				member = MEMBER_KIND;
			i = end;
		} else if (ascii_is_alnum(text[i]) && member <= MEMBER_IS_ERROR &&
		           member != MEMBER_NONE && members[member].length == 0) {
			members[member] = (struct slice){text + i, 2 <= length - i ? 2 : 1};
			member = MEMBER_NONE;
		}
	}
}

/* The character of a \uXXXX, as far as it is one of ASCII; else '?'. */
static char unescape_unicode(struct slice digits)
{
	unsigned value = 0;
	for (size_t i = 0; i < 4; i++) {
		char c = i < digits.length ? digits.text[i] : 'x';
		if (!ascii_is_digit(c) && !((c | 0x20) >= 'a' && (c | 0x20) <= 'f'))
			return '?';
		value = value * 16 +
		        (unsigned)(ascii_is_digit(c) ? c - '0' : (c | 0x20) - 'a' + 10);
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

static bool is_one_of(struct slice word, const char *const starts[], size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (word.length >= strlen(starts[i]) &&
		    memcmp(word.text, starts[i], strlen(starts[i])) == 0)
			return true;
	return false;
}

/* "invalid_request_error", "overloaded_error", … */
static bool is_error_type(struct slice type)
{
	return type.length > 0 && memmem(type.text, type.length, "_error", 6) != NULL;
}

/* What the members but the messages say of the line. */
static void judge(const struct slice members[MEMBERS], struct json_line *ret_line)
{
	static const char *const errors[] = {"error", "turn.failed", "failure", "fatal"};
	/* Of the event streams that Claude Code, Codex, Gemini CLI, opencode and the SDKs print. */
	static const char *const quotes[] = {
	        "assistant", "user",    "tool",         "text",    "thinking",  "item.",
	        "message",   "content", "step",         "system",  "reasoning", "function",
	        "init",      "delta",   "turn.started", "thread.",
	};
	struct slice level = members[MEMBER_LEVEL];
	ret_line->level = log_level_from_word(level.text, level.length);
	bool is_error =
	        members[MEMBER_IS_ERROR].length > 0 && members[MEMBER_IS_ERROR].text[0] == 't';
	struct slice type = members[MEMBER_TYPE];
	bool error_type =
	        is_one_of(type, errors, sizeof errors / sizeof *errors) || is_error_type(type);
	ret_line->transcript = ret_line->level == LOG_LEVEL_NONE && !error_type &&
	                       is_one_of(type, quotes, sizeof quotes / sizeof *quotes);
	ret_line->says_error = !ret_line->transcript &&
	                       (error_type || is_error || members[MEMBER_ERROR].length > 0);
}

size_t json_line_read(const char *text, size_t length, char *out, size_t size,
                      struct json_line *ret_line)
{
	struct slice members[MEMBERS] = {{0}};
	find_members(text, length, members);
	judge(members, ret_line);
	struct slice type = members[MEMBER_TYPE];
	if (members[MEMBER_KIND].length == 0 && is_error_type(type))
		members[MEMBER_KIND] = type;
	size_t used = 0;
	for (enum member member = MEMBER_KIND; member <= MEMBER_ERROR; member++) {
		struct slice parts[2];
		if (members[member].length == 0)
			continue;
		take_essence(members[member], parts);
		for (size_t i = 0; i < 2; i++) {
			size_t room = size - used < PART_MAX ? size - used : PART_MAX;
			if (parts[i].length == 0 || room < 3)
				continue;
			if (used > 0) {
				out[used++] = ':';
				out[used++] = ' ';
				room -= 2;
			}
			used += unescape(parts[i], out + used, room);
		}
	}
	return used;
}
