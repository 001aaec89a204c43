#include "lib/document/yaml_scalar.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/ascii.h"
#include "lib/base/base64.h"
#include "lib/base/buffer.h"
#include "lib/base/utf8.h"

#define TAG(name) "tag:yaml.org,2002:" name

static bool one_of(const char *text, const char *const *words)
{
	for (; *words != NULL; words++)
		if (strcmp(*words, text) == 0)
			return true;
	return false;
}

static const char *const null_words[] = {"", "~", "null", "Null", "NULL", NULL};
static const char *const true_words[] = {"y",    "Y",    "yes", "Yes", "YES", "true",
                                         "True", "TRUE", "on",  "On",  "ON",  NULL};
static const char *const false_words[] = {"n",     "N",     "no",  "No",  "NO",  "false",
                                          "False", "FALSE", "off", "Off", "OFF", NULL};
static const char *const not_finite_words[] = {".nan",  ".NaN",  ".NAN",  ".inf",  ".Inf",
                                               ".INF",  "+.inf", "+.Inf", "+.INF", "-.inf",
                                               "-.Inf", "-.INF", NULL};

/* ---- Numbers ---- */

static size_t count_digits(const char *text)
{
	return strspn(text, "0123456789");
}

/* ^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$, go-yaml's yamlStyleFloat. */
static bool is_float(const char *text)
{
	text += *text == '-' || *text == '+';
	size_t integer = count_digits(text);
	text += integer;
	if (*text == '.') {
		size_t fraction = count_digits(text + 1);
		if (integer + fraction == 0)
			return false;
		text += 1 + fraction;
	} else if (integer == 0) {
		return false;
	}
	if (*text == 'e' || *text == 'E') {
		text++;
		text += *text == '-' || *text == '+';
		if (count_digits(text) == 0)
			return false;
		text += count_digits(text);
	}
	return *text == '\0';
}

/* Go's strconv.ParseInt(text, 0, 64), and ParseUint where that is out of range: decimal, 0x, 0o, 0b
 * and 0 octal. */
static bool append_integer(const char *text, struct buffer *number)
{
	bool negative = *text == '-';
	bool has_sign = negative || *text == '+';
	text += has_sign;
	int base = 10;
	if (text[0] == '0' && text[1] != '\0') {
		char kind = ascii_to_lower(text[1]);
		base = kind == 'x' ? 16 : kind == 'b' ? 2 : 8;
		text += kind == 'x' || kind == 'b' || kind == 'o' ? 2 : 1;
	}
	char *end;
	if (*text == '\0' || strspn(text, "0123456789abcdefABCDEF") != strlen(text))
		return false;
	errno = 0;
	unsigned long long value = strtoull(text, &end, base);
	if (errno != 0 || *end != '\0' || (has_sign && value > (uint64_t)INT64_MAX + negative))
		return false;
	buffer_printf(number, "%s%llu", negative && value != 0 ? "-" : "", value);
	return true;
}

/* A float as JSON writes it: a digit on both sides of the point, no plus, no leading zeros. False
 * when it is too large for a double: then it is a string. */
static bool append_float(const char *text, struct buffer *number)
{
	if (isinf(strtod(text, NULL)))
		return false;
	if (*text == '-')
		buffer_append_char(number, '-');
	text += *text == '-' || *text == '+';
	while (text[0] == '0' && count_digits(text) > 1)
		text++;
	size_t integer = count_digits(text);
	buffer_append(number, integer == 0 ? "0" : text, integer == 0 ? 1 : integer);
	text += integer;
	if (*text == '.') {
		size_t fraction = count_digits(text + 1);
		buffer_append_char(number, '.');
		buffer_append(number, fraction == 0 ? "0" : text + 1, fraction == 0 ? 1 : fraction);
		text += 1 + fraction;
	}
	buffer_append_text(number, text);
	return true;
}

static enum yaml_scalar resolve_number(const char *text, struct buffer *number)
{
	struct buffer _cleanup_buffer_ digits;
	buffer_init(&digits, strlen(text) + 1);
	if (*text == '.' && !ascii_is_digit(text[1]))
		return YAML_IS_STRING;
	for (const char *c = text; *c != '\0'; c++)
		if (*c != '_')
			buffer_append_char(&digits, *c);
	const char *plain = buffer_text(&digits);
	if (!buffer_ok(&digits)) {
		number->failed = true;
		return YAML_IS_STRING;
	}
	if (append_integer(plain, number))
		return YAML_IS_INTEGER;
	return is_float(plain) && append_float(plain, number) ? YAML_IS_FLOAT : YAML_IS_STRING;
}

enum yaml_scalar yaml_resolve(const char *text, struct buffer *number)
{
	if (one_of(text, null_words))
		return YAML_IS_NULL;
	if (one_of(text, true_words))
		return YAML_IS_TRUE;
	if (one_of(text, false_words))
		return YAML_IS_FALSE;
	if (one_of(text, not_finite_words))
		return YAML_IS_NOT_FINITE;
	if (strchr("+-.0123456789", text[0]) == NULL)
		return YAML_IS_STRING;
	return resolve_number(text, number);
}

/* ---- Nodes ---- */

static json *plain_node(struct arena *arena, const char *text, enum yaml_scalar *ret_kind)
{
	struct buffer _cleanup_buffer_ number;
	buffer_init(&number, strlen(text) + 8);
	*ret_kind = yaml_resolve(text, &number);
	if (number.failed)
		return NULL;
	switch (*ret_kind) {
	case YAML_IS_NULL:
		return json_new_null(arena);
	case YAML_IS_TRUE:
	case YAML_IS_FALSE:
		return json_new_bool(arena, *ret_kind == YAML_IS_TRUE);
	case YAML_IS_INTEGER:
	case YAML_IS_FLOAT:
		return json_new_number_text(arena, buffer_text(&number));
	case YAML_IS_NOT_FINITE:
	case YAML_IS_STRING:
		break;
	}
	return json_new_string(arena, text);
}

/* Go's time.Parse does the rest of it; here it is only told from what is no date at all. */
static bool is_timestamp(const char *text)
{
	return count_digits(text) == 4 && text[4] == '-';
}

static bool fits_tag(const char *tag, const char *text, enum yaml_scalar kind)
{
	if (strcmp(tag, TAG("null")) == 0)
		return kind == YAML_IS_NULL;
	if (strcmp(tag, TAG("bool")) == 0)
		return kind == YAML_IS_TRUE || kind == YAML_IS_FALSE;
	if (strcmp(tag, TAG("int")) == 0)
		return kind == YAML_IS_INTEGER;
	if (strcmp(tag, TAG("float")) == 0)
		return kind == YAML_IS_INTEGER || kind == YAML_IS_FLOAT ||
		       kind == YAML_IS_NOT_FINITE;
	return is_timestamp(text);
}

static bool binary_node(struct arena *arena, const char *text, json **ret_node, struct error *error)
{
	struct buffer _cleanup_buffer_ digits; /* without line ends */
	struct buffer _cleanup_buffer_ bytes;
	buffer_init(&digits, strlen(text) + 1);
	buffer_init(&bytes, strlen(text) + 1);
	for (const char *c = text; *c != '\0'; c++)
		if (*c != '\n' && *c != '\r')
			buffer_append_char(&digits, *c);
	if (!base64_decode(&bytes, buffer_text(&digits), digits.length) ||
	    memchr(buffer_text(&bytes), '\0', bytes.length) != NULL ||
	    utf8_valid_prefix(buffer_text(&bytes), bytes.length) != bytes.length)
		return error_set(error, "!!binary: expected the base64 of UTF-8");
	json *node = json_new_string(arena, buffer_text(&bytes));
	if (node == NULL)
		return error_set(error, "the document is too large");
	*ret_node = node;
	return true;
}

bool yaml_scalar_node(struct arena *arena, const char *text, const char *tag, bool quoted,
                      json **ret_node, struct error *error)
{
	static const char *const resolved[] = {TAG("null"),  TAG("bool"),      TAG("int"),
	                                       TAG("float"), TAG("timestamp"), NULL};
	enum yaml_scalar kind = YAML_IS_STRING;
	json *node;
	if (tag != NULL && strcmp(tag, TAG("binary")) == 0)
		return binary_node(arena, text, ret_node, error);
	if (tag == NULL ? quoted : !one_of(tag, resolved) || strcmp(tag, TAG("timestamp")) == 0)
		node = json_new_string(arena, text);
	else
		node = plain_node(arena, text, &kind);
	if (node == NULL)
		return error_set(error, "the document is too large");
	if (tag != NULL && one_of(tag, resolved) && !fits_tag(tag, text, kind))
		return error_set(error, "\"%.40s\" is no %s", text, tag + strlen(TAG("")));
	if (kind == YAML_IS_NOT_FINITE)
		return error_set(error, "%s: JSON has no such number", text);
	*ret_node = node;
	return true;
}

/* ---- Keys ---- */

/* Go's strconv.FormatFloat(value, 'g', -1, 32): the shortest digits that are the same float. */
static void append_float32(double wide, struct buffer *out)
{
	char digits[48];
	float value = (float)wide;
	int precision = 0;
	if (isinf(value)) {
		buffer_append_text(out, value < 0 ? "-.inf" : ".inf");
		return;
	}
	for (; precision < 9; precision++) {
		snprintf(digits, sizeof digits, "%.*e", precision, (double)value);
		if (strtof(digits, NULL) == value)
			break;
	}
	int exponent = (int)strtol(strchr(digits, 'e') + 1, NULL, 10);
	if (exponent < -4 || exponent >= 6)
		buffer_append_text(out, digits);
	else
		buffer_printf(out, "%.*f", precision > exponent ? precision - exponent : 0,
		              (double)value);
}

bool yaml_key_text(struct arena *arena, const json *node, const char **ret_key, struct error *error)
{
	const char *text = json_scalar_text(node);
	double number;
	if (json_is_bool(node))
		text = json_is_true(node) ? "true" : "false";
	if (text == NULL)
		return error_set(error, "expected a key that is a string, a number or a boolean");
	if (json_is_number(node) && strpbrk(text, ".eE") == NULL) {
		errno = 0;
		strtoll(text, NULL, 10);
		if (errno != 0)
			return error_set(error, "a key beyond 64 bits: %.40s", text);
	} else if (json_is_number(node) && json_double(node, &number)) {
		char storage[64];
		struct buffer out;
		buffer_init_fixed(&out, storage, sizeof storage);
		append_float32(number, &out);
		text = arena_copy(arena, storage, out.length);
	}
	if (text == NULL)
		return error_set(error, "the document is too large");
	*ret_key = text;
	return true;
}

bool yaml_tag_known(const char *tag, bool *ret_string)
{
	static const char *const known[] = {TAG("int"), TAG("bool"), TAG("float"), TAG("null"),
	                                    TAG("map"), TAG("seq"),  NULL};
	*ret_string = strcmp(tag, TAG("str")) == 0 || strcmp(tag, "!") == 0;
	return *ret_string || one_of(tag, known);
}
