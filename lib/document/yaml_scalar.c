#include "lib/document/yaml_scalar.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/buffer.h"

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

/* Go's strconv.ParseInt(text, 0, 64): decimal, 0x, 0o, 0b and 0 octal. */
static bool parse_integer(const char *text, int64_t *ret_value)
{
	bool negative = *text == '-';
	text += *text == '-' || *text == '+';
	int base = 10;
	if (text[0] == '0' && text[1] != '\0') {
		char kind = (char)(text[1] | 0x20);
		base = kind == 'x' ? 16 : kind == 'b' ? 2 : 8;
		text += kind == 'x' || kind == 'b' || kind == 'o' ? 2 : 1;
	}
	char *end;
	if (strspn(text, "0123456789abcdefABCDEF") != strlen(text) || *text == '\0')
		return false;
	errno = 0;
	unsigned long long value = strtoull(text, &end, base);
	if (errno != 0 || *end != '\0' || value > (uint64_t)INT64_MAX + negative)
		return false;
	*ret_value = negative ? (int64_t)(0 - value) : (int64_t)value;
	return true;
}

/* A float's text as JSON wants it: a digit on both sides of the point, no plus, no leading zeros.
 */
static json *float_node(struct arena *arena, const char *text)
{
	char storage[512];
	struct buffer out;
	buffer_init_fixed(&out, storage, sizeof storage);
	if (*text == '-')
		buffer_append_char(&out, '-');
	text += *text == '-' || *text == '+';
	while (text[0] == '0' && count_digits(text) > 1)
		text++;
	size_t integer = count_digits(text);
	buffer_append(&out, integer == 0 ? "0" : text, integer == 0 ? 1 : integer);
	text += integer;
	if (*text == '.') {
		size_t fraction = count_digits(text + 1);
		buffer_append_char(&out, '.');
		buffer_append(&out, fraction == 0 ? "0" : text + 1, fraction == 0 ? 1 : fraction);
		text += 1 + fraction;
	}
	buffer_append_text(&out, text);
	return buffer_ok(&out) ? json_new_number_text(arena, buffer_text(&out)) : NULL;
}

enum yaml_scalar yaml_resolve(const char *text, char *plain, size_t plain_size,
                              int64_t *ret_integer)
{
	if (one_of(text, null_words))
		return YAML_IS_NULL;
	if (one_of(text, true_words))
		return YAML_IS_TRUE;
	if (one_of(text, false_words))
		return YAML_IS_FALSE;
	if (strchr("+-.0123456789", text[0]) == NULL || strlen(text) >= plain_size)
		return YAML_IS_STRING;
	size_t length = 0;
	for (const char *c = text; *c != '\0'; c++)
		if (*c != '_')
			plain[length++] = *c;
	plain[length] = '\0';
	if (parse_integer(plain, ret_integer))
		return YAML_IS_INTEGER;
	return is_float(plain) ? YAML_IS_FLOAT : YAML_IS_STRING;
}

json *yaml_plain_node(struct arena *arena, const char *text)
{
	char plain[256];
	int64_t integer;
	switch (yaml_resolve(text, plain, sizeof plain, &integer)) {
	case YAML_IS_NULL:
		return json_new_null(arena);
	case YAML_IS_TRUE:
		return json_new_bool(arena, true);
	case YAML_IS_FALSE:
		return json_new_bool(arena, false);
	case YAML_IS_INTEGER:
		return json_new_integer(arena, integer);
	case YAML_IS_FLOAT:
		return float_node(arena, plain);
	case YAML_IS_STRING:
		break;
	}
	return json_new_string(arena, text);
}

bool yaml_tag_known(const char *tag, bool *ret_string)
{
	static const char *const known[] = {"tag:yaml.org,2002:int",
	                                    "tag:yaml.org,2002:bool",
	                                    "tag:yaml.org,2002:float",
	                                    "tag:yaml.org,2002:null",
	                                    "tag:yaml.org,2002:map",
	                                    "tag:yaml.org,2002:seq",
	                                    NULL};
	*ret_string = strcmp(tag, "tag:yaml.org,2002:str") == 0 || strcmp(tag, "!") == 0;
	return *ret_string || one_of(tag, known);
}
