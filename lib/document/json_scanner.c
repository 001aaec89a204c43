#include "lib/document/json_scanner.h"

#include <inttypes.h>
#include <string.h>

#include "lib/base/ascii.h"

enum place {
	PLACE_TOP,           /* between objects */
	PLACE_VALUE,         /* a value has to come */
	PLACE_FIRST_ELEMENT, /* a value, or the end of the array */
	PLACE_FIRST_KEY,     /* a key, or the end of the object */
	PLACE_KEY,
	PLACE_COLON,
	PLACE_AFTER, /* a comma, or the end of the array or object */
	PLACE_STRING,
	PLACE_ESCAPE,
	PLACE_NUMBER,
	PLACE_LITERAL
};

/* How far in a number (RFC 8259 section 6). */
enum number {
	NUMBER_MINUS,
	NUMBER_ZERO,
	NUMBER_INTEGER,
	NUMBER_POINT,
	NUMBER_FRACTION,
	NUMBER_E,
	NUMBER_SIGN,
	NUMBER_EXPONENT,
	NUMBER_OTHER /* the byte is no part of it */
};

void json_scanner_init(struct json_scanner *scanner, const struct json_events *events,
                       void *context)
{
	*scanner = (struct json_scanner){.events = events, .context = context};
}

bool json_scanner_is_between(const struct json_scanner *scanner)
{
	return scanner->problem == NULL && scanner->place == PLACE_TOP;
}

static void fail(struct json_scanner *scanner, const char *problem)
{
	scanner->problem = problem;
}

/* ---- Objects and arrays ---- */

static void end_value(struct json_scanner *scanner, enum json_shape shape)
{
	scanner->place = scanner->depth == 0 ? PLACE_TOP : PLACE_AFTER;
	scanner->events->value_end(scanner->context, shape);
}

static bool in_array(const struct json_scanner *scanner)
{
	unsigned level = scanner->depth - 1;
	return scanner->arrays[level / 64] >> (level % 64) & 1;
}

static void open_level(struct json_scanner *scanner, bool array)
{
	if (scanner->depth == JSON_SCANNER_DEPTH_MAX) {
		fail(scanner, "it is nested too deep");
		return;
	}
	scanner->events->value(scanner->context, array ? JSON_SHAPE_ARRAY : JSON_SHAPE_OBJECT);
	uint64_t bit = UINT64_C(1) << (scanner->depth % 64);
	if (array)
		scanner->arrays[scanner->depth / 64] |= bit;
	else
		scanner->arrays[scanner->depth / 64] &= ~bit;
	scanner->depth++;
	scanner->place = array ? PLACE_FIRST_ELEMENT : PLACE_FIRST_KEY;
}

static void close_level(struct json_scanner *scanner, char bracket)
{
	bool array = in_array(scanner);
	if (array != (bracket == ']')) {
		fail(scanner, "a bracket does not fit the one that it closes");
		return;
	}
	scanner->depth--;
	end_value(scanner, array ? JSON_SHAPE_ARRAY : JSON_SHAPE_OBJECT);
}

static void begin_value(struct json_scanner *scanner, char c)
{
	static const char *const literals[] = {"true", "false", "null"};
	if (c == '{' || c == '[') {
		open_level(scanner, c == '[');
		return;
	}
	if (c == '"') {
		scanner->place = PLACE_STRING;
		scanner->events->value(scanner->context, JSON_SHAPE_STRING);
		return;
	}
	if (c == '-' || ascii_is_digit(c)) {
		scanner->place = PLACE_NUMBER;
		scanner->number = c == '-' ? NUMBER_MINUS : c == '0' ? NUMBER_ZERO : NUMBER_INTEGER;
	}
	for (size_t i = 0; i < sizeof literals / sizeof literals[0]; i++) {
		if (c != literals[i][0])
			continue;
		scanner->literal = literals[i] + 1;
		scanner->place = PLACE_LITERAL;
	}
	if (scanner->place != PLACE_NUMBER && scanner->place != PLACE_LITERAL) {
		fail(scanner, "a value was expected");
		return;
	}
	scanner->events->value(scanner->context, JSON_SHAPE_WORD);
	scanner->events->content(scanner->context, &c, 1);
}

/* ---- Strings ---- */

static void end_string(struct json_scanner *scanner)
{
	if (!scanner->in_key) {
		end_value(scanner, JSON_SHAPE_STRING);
		return;
	}
	scanner->in_key = false;
	scanner->place = PLACE_COLON;
	scanner->events->key_end(scanner->context);
}

/* Bytes at the start that are a string's content and nothing special in it: eight at a time, with
 * the usual tests of all bytes of a word at once (Warren, Hacker's Delight, 6-1). */
static size_t plain_run(const char *bytes, size_t length)
{
	const uint64_t ones = UINT64_C(0x0101010101010101);
	const uint64_t highs = ones * 0x80;
	size_t i = 0;
	for (uint64_t word; length - i >= sizeof word; i += sizeof word) {
		memcpy(&word, bytes + i, sizeof word);
		uint64_t quote = word ^ ones * '"';
		uint64_t backslash = word ^ ones * '\\';
		uint64_t special = ((quote - ones) & ~quote) | ((backslash - ones) & ~backslash) |
		                   ((word - ones * 0x20) & ~word);
		if ((special & highs) != 0)
			break;
	}
	while (i < length && bytes[i] != '"' && bytes[i] != '\\' && (unsigned char)bytes[i] >= 0x20)
		i++;
	return i;
}

/* How many bytes it read, as all steps say. */
static size_t step_string(struct json_scanner *scanner, const char *bytes, size_t length)
{
	size_t run = plain_run(bytes, length);
	if (run > 0) {
		scanner->events->content(scanner->context, bytes, run);
		return run;
	}
	if (*bytes == '"') {
		end_string(scanner);
	} else if (*bytes == '\\') {
		scanner->escape[0] = '\\';
		scanner->escape_length = 1;
		scanner->place = PLACE_ESCAPE;
	} else {
		fail(scanner, "a control character stands in a string");
	}
	return 1;
}

/* What a whole escape stands for. */
static unsigned escape_code(const struct json_scanner *scanner)
{
	static const char names[] = "\"\\/bfnrt";
	static const char values[] = "\"\\/\b\f\n\r\t";
	unsigned code = 0;
	if (scanner->escape[1] != 'u')
		return (unsigned char)values[strchr(names, scanner->escape[1]) - names];
	for (size_t i = 2; i < JSON_SCANNER_ESCAPE_MAX; i++)
		code = code * 16 + (unsigned)ascii_hex_value(scanner->escape[i]);
	return code;
}

static size_t step_escape(struct json_scanner *scanner, char c)
{
	bool first = scanner->escape_length == 1;
	bool fits = first ? c != '\0' && strchr("\"\\/bfnrtu", c) != NULL : ascii_is_hex(c);
	if (!fits) {
		fail(scanner, "an escape is none");
		return 1;
	}
	scanner->escape[scanner->escape_length++] = c;
	if (scanner->escape[1] == 'u' && scanner->escape_length < JSON_SCANNER_ESCAPE_MAX)
		return 1;
	scanner->place = PLACE_STRING;
	scanner->events->escape(scanner->context, scanner->escape, scanner->escape_length,
	                        escape_code(scanner));
	return 1;
}

/* ---- Numbers and words ---- */

enum number_byte { BYTE_ZERO, BYTE_DIGIT, BYTE_POINT, BYTE_E, BYTE_SIGN, BYTE_OTHER };

static enum number_byte number_byte(char c)
{
	return c == '0'               ? BYTE_ZERO
	       : c >= '1' && c <= '9' ? BYTE_DIGIT
	       : c == '.'             ? BYTE_POINT
	       : c == 'e' || c == 'E' ? BYTE_E
	       : c == '+' || c == '-' ? BYTE_SIGN
	                              : BYTE_OTHER;
}

static enum number number_next(enum number state, char c)
{
	enum { O = NUMBER_OTHER };
	/* By byte: zero, digit, point, e, sign, other. */
	static const unsigned char next[][BYTE_OTHER + 1] = {
	        [NUMBER_MINUS] = {NUMBER_ZERO, NUMBER_INTEGER, O, O, O, O},
	        [NUMBER_ZERO] = {O, O, NUMBER_POINT, NUMBER_E, O, O},
	        [NUMBER_INTEGER] = {NUMBER_INTEGER, NUMBER_INTEGER, NUMBER_POINT, NUMBER_E, O, O},
	        [NUMBER_POINT] = {NUMBER_FRACTION, NUMBER_FRACTION, O, O, O, O},
	        [NUMBER_FRACTION] = {NUMBER_FRACTION, NUMBER_FRACTION, O, NUMBER_E, O, O},
	        [NUMBER_E] = {NUMBER_EXPONENT, NUMBER_EXPONENT, O, O, NUMBER_SIGN, O},
	        [NUMBER_SIGN] = {NUMBER_EXPONENT, NUMBER_EXPONENT, O, O, O, O},
	        [NUMBER_EXPONENT] = {NUMBER_EXPONENT, NUMBER_EXPONENT, O, O, O, O},
	};
	return next[state][number_byte(c)];
}

/* A number ends before the first byte that is not its own: that one is left to the next step. */
static size_t step_number(struct json_scanner *scanner, char c)
{
	enum number state = scanner->number;
	enum number next = number_next(state, c);
	if (next != NUMBER_OTHER) {
		scanner->number = next;
		scanner->events->content(scanner->context, &c, 1);
		return 1;
	}
	if (state == NUMBER_ZERO || state == NUMBER_INTEGER || state == NUMBER_FRACTION ||
	    state == NUMBER_EXPONENT)
		end_value(scanner, JSON_SHAPE_WORD);
	else
		fail(scanner, "a number ends too early");
	return 0;
}

static size_t step_literal(struct json_scanner *scanner, char c)
{
	if (c != *scanner->literal) {
		fail(scanner, "a value was expected");
		return 1;
	}
	scanner->events->content(scanner->context, &c, 1);
	if (*++scanner->literal == '\0')
		end_value(scanner, JSON_SHAPE_WORD);
	return 1;
}

/* ---- Between values ---- */

static void step_key(struct json_scanner *scanner, char c)
{
	if (c == '"') {
		scanner->in_key = true;
		scanner->place = PLACE_STRING;
		scanner->events->key(scanner->context);
	} else if (c == '}' && scanner->place == PLACE_FIRST_KEY) {
		close_level(scanner, c);
	} else {
		fail(scanner, "a key was expected");
	}
}

static void step_after(struct json_scanner *scanner, char c)
{
	if (c == ']' || c == '}')
		close_level(scanner, c);
	else if (c == ',')
		scanner->place = in_array(scanner) ? PLACE_VALUE : PLACE_KEY;
	else
		fail(scanner, "a comma or a closing bracket was expected");
}

static size_t step_between(struct json_scanner *scanner, char c)
{
	if (c == ' ' || c == '\t' || c == '\n' || c == '\r')
		return 1;
	switch (scanner->place) {
	case PLACE_TOP:
		if (c == '{')
			open_level(scanner, false);
		else
			fail(scanner, "an object was expected");
		break;
	case PLACE_AFTER:
		step_after(scanner, c);
		break;
	case PLACE_COLON:
		scanner->place = PLACE_VALUE;
		if (c != ':')
			fail(scanner, "a colon was expected");
		break;
	case PLACE_FIRST_KEY:
	case PLACE_KEY:
		step_key(scanner, c);
		break;
	default:
		if (c == ']' && scanner->place == PLACE_FIRST_ELEMENT)
			close_level(scanner, c);
		else
			begin_value(scanner, c);
		break;
	}
	return 1;
}

static size_t step(struct json_scanner *scanner, const char *bytes, size_t length)
{
	switch (scanner->place) {
	case PLACE_STRING:
		return step_string(scanner, bytes, length);
	case PLACE_ESCAPE:
		return step_escape(scanner, *bytes);
	case PLACE_NUMBER:
		return step_number(scanner, *bytes);
	case PLACE_LITERAL:
		return step_literal(scanner, *bytes);
	default:
		return step_between(scanner, *bytes);
	}
}

bool json_scanner_feed(struct json_scanner *scanner, const char *bytes, size_t length,
                       struct error *error)
{
	size_t at = 0;
	while (at < length && scanner->problem == NULL && !scanner->stopped) {
		size_t used = step(scanner, bytes + at, length - at);
		at += used;
		scanner->position += used;
		scanner->work++;
	}
	if (scanner->problem != NULL)
		return error_set(error, "not JSON at byte %" PRIu64 ": %s", scanner->position,
		                 scanner->problem);
	return !scanner->stopped;
}
