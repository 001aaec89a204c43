#include "lib/diagnosis/log_prefix.h"

#include <string.h>

#include "lib/base/ascii.h"

/* How far into a line a level is looked for, and behind how many ordinary words. */
#define LEVEL_SPACE ((size_t)110)
#define WORDS_MAX   2
#define TOKENS_MAX  14
#define GROUP_MAX   ((size_t)80)
#define LOGGER_MAX  ((size_t)64)

/* --- The level --- */

static bool all_upper(const char *word, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (!ascii_is_upper(word[i]))
			return false;
	return true;
}

/* A word in small or mixed letters counts as a level only where a logger would put one. */
static bool is_set_off(const char *text, size_t at, size_t end)
{
	char before = at > 0 ? text[at - 1] : '\0';
	if (before == '[' || before == '|' || before == '<' || before == '(')
		return text[end] == ']' || text[end] == '|' || text[end] == '>' ||
		       text[end] == ')' || text[end] == ' ' || text[end] == ':';
	if (before != '=' && !(before == '"' && at > 1 && text[at - 2] == '='))
		return false;
	size_t key = before == '=' ? at - 1 : at - 2;
	return (key >= 5 && strncmp(text + key - 5, "level", 5) == 0) ||
	       (key >= 3 && strncmp(text + key - 3, "lvl", 3) == 0) ||
	       (key >= 8 && strncmp(text + key - 8, "severity", 8) == 0);
}

/* A word of prose: small letters between spaces. "dagster - ERROR" may have a few before it. */
static bool is_plain(const char *text, size_t at, size_t end)
{
	if (at > 0 && text[at - 1] != ' ')
		return false;
	if (end - at < 2 || (text[end] != ' ' && text[end] != ',' && text[end] != '\0'))
		return false;
	for (size_t i = at; i < end; i++)
		if (!ascii_is_letter(text[i]))
			return false;
	return true;
}

/* klog's and glog's "E1123 22:50:13.123456 …" */
static enum log_level klog_level(const char *text)
{
	if (text[0] == '\0' || ascii_count_digits(text + 1) != 4 || text[5] != ' ')
		return LOG_LEVEL_NONE;
	return text[0] == 'F'   ? LOG_LEVEL_FATAL
	       : text[0] == 'E' ? LOG_LEVEL_ERROR
	       : text[0] == 'W' ? LOG_LEVEL_WARNING
	       : text[0] == 'I' ? LOG_LEVEL_INFO
	                        : LOG_LEVEL_NONE;
}

/* The priority of a syslog line, "<11>1 …" or "<11>Nov …": severity is its last three bits. */
static enum log_level syslog_level(const char *text)
{
	size_t digits = text[0] == '<' ? ascii_count_digits(text + 1) : 0;
	if (digits == 0 || digits > 3 || text[digits + 1] != '>')
		return LOG_LEVEL_NONE;
	int priority = 0;
	for (size_t i = 1; i <= digits; i++)
		priority = priority * 10 + (text[i] - '0');
	int severity = priority & 7;
	return severity <= 2   ? LOG_LEVEL_FATAL
	       : severity == 3 ? LOG_LEVEL_ERROR
	       : severity == 4 ? LOG_LEVEL_WARNING
	                       : LOG_LEVEL_INFO;
}

static enum log_level find_level(const char *text, size_t length)
{
	enum log_level level = klog_level(text);
	if (level == LOG_LEVEL_NONE)
		level = syslog_level(text);
	unsigned plain = 0;
	size_t limit = length < LEVEL_SPACE ? length : LEVEL_SPACE;
	for (size_t at = 0; level == LOG_LEVEL_NONE && at < limit && plain <= WORDS_MAX;) {
		size_t end = at;
		while (end < length && (ascii_is_alnum(text[end]) || text[end] == '_'))
			end++;
		if (end == at) {
			at++;
			continue;
		}
		char before = at > 0 ? text[at - 1] : ' ';
		bool quoted = before == '"' || before == '\'' || before == '.' || before == '-';
		bool capitals = ascii_is_upper(text[at]) && all_upper(text + at, end - at);
		/* npm's "npm ERR! " stands before everything that npm says of a failure. */
		bool shouted = text[end] == '!';
		if ((capitals && !quoted && !shouted) ||
		    (before != ' ' && ascii_is_letter(text[at]) && is_set_off(text, at, end)))
			level = log_level_from_word(text + at, end - at);
		plain += is_plain(text, at, end);
		at = end;
	}
	return level;
}

/* --- The message --- */

/* 12:45:43, 2026-05-24T14:53:51.306Z, 26/06/07, 2.808, [0.003s */
static bool is_time(const char *token, size_t length)
{
	size_t digits = 0;
	bool joint = false;
	if (!ascii_is_digit(token[0]))
		return false;
	for (size_t i = 0; i < length; i++) {
		digits += ascii_is_digit(token[i]);
		joint |= strchr(":.,-/|", token[i]) != NULL;
		if (!ascii_is_digit(token[i]) && strchr(":.,-/+|TZsm", token[i]) == NULL)
			return false;
	}
	return digits >= 2 && joint;
}

static bool is_number(const char *token, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (!ascii_is_digit(token[i]))
			return false;
	return length <= 7;
}

static bool is_month(const char *token, size_t length)
{
	static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	for (size_t i = 0; length == 3 && i + 3 < sizeof names; i += 3)
		if (memcmp(names + i, token, 3) == 0)
			return true;
	return false;
}

/* The length of "[…]", "(…)", "{…}" or "<…>" at text, if it is no more than a prefix. */
static size_t group_length(const char *text)
{
	static const char opening[] = "[({<";
	if (ascii_is_alnum(text[0]) || text[0] == '\0')
		return 0;
	const char *kind = strchr(opening, text[0]);
	if (kind == NULL)
		return 0;
	char closing = "])}>"[kind - opening];
	for (size_t i = 1; i < GROUP_MAX && text[i] != '\0'; i++)
		if (text[i] == closing)
			return i + 1;
	return 0;
}

/* "goose::agents::agent:", "taskinstance.py:1225", "main.go:128]", "c.example.App" before ":" */
static bool is_logger(const char *token, size_t length, const char *rest)
{
	bool joint = false;
	if (length < 3 || length > LOGGER_MAX || !ascii_is_letter(token[0]))
		return false;
	for (size_t i = 0; i + 1 < length; i++) {
		joint |= strchr(".:/_", token[i]) != NULL;
		if (!ascii_is_alnum(token[i]) && strchr(".:/_-$#@", token[i]) == NULL)
			return false;
	}
	static const char *const ends[] = {"Error:", "Exception:", "Failure:"};
	for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
		size_t end = strlen(ends[i]);
		if (length >= end && memcmp(token + length - end, ends[i], end) == 0)
			return false;
	}
	char last = token[length - 1];
	bool sets_off = last == ':' || last == ']' || rest[ascii_count_spaces(rest)] == ':' ||
	                strncmp(rest, " - ", 3) == 0;
	return joint && sets_off && strncmp(rest, " line ", 6) != 0;
}

/* time=…, level=… of logfmt. */
static bool is_pair(const char *token)
{
	static const char *const keys[] = {"time=",   "ts=",     "level=",     "lvl=",    "t=",
	                                   "logger=", "caller=", "component=", "service="};
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		if (token[0] == keys[i][0] && strncmp(token, keys[i], strlen(keys[i])) == 0)
			return true;
	return false;
}

static bool is_joint(const char *token, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (ascii_is_alnum(token[i]) || strchr("-|:>=*", token[i]) == NULL)
			return false;
	return true;
}

/* "ERROR", "ERROR:", "ERROR/MainProcess]", "I," of Ruby. */
static bool is_level_token(const char *token, size_t length)
{
	size_t word = 0;
	while (word < length && ascii_is_upper(token[word]))
		word++;
	if (word == 1)
		return length == 2 && token[1] == ',';
	/* These stay: in a message that is not English, they tell what it is. */
	if (strncmp(token, "FEHLER", 6) == 0 || strncmp(token, "ERREUR", 6) == 0)
		return false;
	return log_level_from_word(token, word) != LOG_LEVEL_NONE &&
	       (word == length || token[word] == ':' || token[word] == '/' || token[word] == ']' ||
	        token[word] == '|');
}

/* "ERROR", "ERROR/MainProcess]"; of Python's "ERROR:root:message" all but the message. */
static size_t level_length(const char *token, size_t length)
{
	const char *colon = memchr(token, ':', length);
	if (colon == NULL || colon + 1 == token + length)
		return length;
	const char *second = memchr(colon + 1, ':', (size_t)(token + length - colon) - 1);
	return (size_t)((second != NULL ? second : colon) - token) + 1;
}

static size_t word_length(const char *token)
{
	size_t length = 0;
	while (token[length] != ' ' && token[length] != '\0')
		length++;
	return length;
}

/* The length of what stands at token before the message; 0: the message begins there. */
static size_t token_length(const char *token, bool first)
{
	size_t length = word_length(token);
	size_t group = group_length(token);
	if (group > 0 && (token[group] == ' ' || token[group] == ':' || token[group] == '['))
		return group + (token[group] == ':');
	if (is_pair(token)) {
		const char *quote = memchr(token, '=', length);
		const char *end = quote[1] == '"' ? strchr(quote + 2, '"') : NULL;
		return end != NULL ? (size_t)(end - token) + 1 : length;
	}
	if (is_level_token(token, length))
		return level_length(token, length);
	if (is_time(token, length) ||
	    (token[0] == '#' && length > 1 && is_number(token + 1, length - 1)))
		return length;
	if (is_month(token, length) && token[3] == ' ' &&
	    ascii_is_digit(token[4 + (token[4] == ' ')])) {
		/* Syslog: "Nov 23 22:50:13 host program[1]:" */
		size_t day = length + ascii_count_spaces(token + length);
		return day + word_length(token + day);
	}
	if (klog_level(token) != LOG_LEVEL_NONE)
		return length;
	if (!first && (is_number(token, length) || is_joint(token, length) ||
	               is_logger(token, length, token + length)))
		return length;
	return 0;
}

static size_t find_message(const char *text, size_t length)
{
	size_t at = 0;
	for (unsigned tokens = 0; tokens < TOKENS_MAX && at < length; tokens++) {
		size_t step = token_length(text + at, tokens == 0);
		if (step == 0)
			break;
		at += step;
		at += ascii_count_spaces(text + at);
	}
	if (strncmp(text + at, "msg=\"", 5) == 0)
		at += 5;
	return at >= length ? 0 : at;
}

void log_prefix_read(const char *text, size_t length, struct log_prefix *ret_prefix)
{
	ret_prefix->level = find_level(text, length);
	ret_prefix->length = find_message(text, length);
}
