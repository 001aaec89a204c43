#include <stdint.h>
#include <string.h>

#include "lib/base/ascii.h"
#include "lib/base/buffer.h"
#include "lib/base/utf8.h"
#include "lib/document/yaml.h"
#include "lib/document/yaml_scalar.h"

/* YAML 1.1 section 5.1, less what it takes for line breaks and the byte order mark. */
static bool may_be_printed(uint32_t c)
{
	return (c >= 0x20 && c <= 0x7E) ||
	       (c >= 0xA0 && c <= 0xD7FF && c != 0x2028 && c != 0x2029) ||
	       (c >= 0xE000 && c <= 0xFFFD && c != 0xFEFF) || (c >= 0x10000 && c <= 0x10FFFF);
}

/* What a reader cannot see, or would see elsewhere, is escaped: it means the same. */
static bool is_printable(uint32_t c)
{
	return may_be_printed(c) && !utf8_is_unsafe(c) && c != 0xAD && c != 0x180E && c != 0x200B &&
	       !(c >= 0x2060 && c <= 0x206F) && !(c >= 0xFFF9 && c <= 0xFFFB) &&
	       !(c >= 0xE0000 && c <= 0xE0FFF);
}

static void print_quoted(struct buffer *out, const char *text)
{
	static const char short_escapes[] = {['\t'] = 't', ['\n'] = 'n', ['\r'] = 'r'};
	size_t length = strlen(text);
	buffer_append_char(out, '"');
	for (size_t i = 0; i < length;) {
		size_t sequence = utf8_sequence(text + i, length - i);
		uint32_t c = sequence == 0 ? 0xFFFD : utf8_code_point(text + i, sequence);
		if (c == '"' || c == '\\')
			buffer_printf(out, "\\%c", (int)c);
		else if (sequence > 0 && is_printable(c))
			buffer_append(out, text + i, sequence);
		else if (c < sizeof short_escapes && short_escapes[c] != 0)
			buffer_printf(out, "\\%c", short_escapes[c]);
		else if (c <= 0xFF)
			buffer_printf(out, "\\x%02x", (unsigned)c);
		else
			buffer_printf(out, c <= 0xFFFF ? "\\u%04x" : "\\U%08x", (unsigned)c);
		i += sequence == 0 ? 1 : sequence;
	}
	buffer_append_char(out, '"');
}

/* Read back as the same string without quotes, by any YAML reader. */
static bool is_plain(const char *text)
{
	static const char allowed[] =
	        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	        " _-./+@=,()$~^;<>\\'\"&*!?|%#:[]{}";
	static const char digits_and_signs[] = "0123456789+-.:_eETZtz ";
	size_t length = strlen(text);
	char first = text[0];
	if (length == 0 || !(ascii_is_alnum(first) || first == '/' || first == '_'))
		return false;
	if (strspn(text, allowed) != length || text[length - 1] == ' ' || text[length - 1] == ':' ||
	    strstr(text, ": ") != NULL || strstr(text, " #") != NULL)
		return false;
	/* Numbers, dates and base 60 of one version of YAML or another. */
	if ((strspn(text, digits_and_signs) == length && strpbrk(text, "0123456789") != NULL) ||
	    strncmp(text, "0x", 2) == 0)
		return false;
	char storage[512];
	struct buffer number;
	buffer_init_fixed(&number, storage, sizeof storage);
	return yaml_resolve(text, &number) == YAML_IS_STRING && buffer_ok(&number);
}

/* Several lines that a literal block can hold as they are. */
static bool is_literal(const char *text)
{
	size_t length = strlen(text);
	if (strchr(text, '\n') == NULL || text[0] == ' ' || text[0] == '\n' || text[0] == '\t')
		return false;
	for (size_t i = 0; i < length;) {
		size_t sequence = utf8_sequence(text + i, length - i);
		uint32_t c = sequence == 0 ? 0 : utf8_code_point(text + i, sequence);
		if (!is_printable(c) && c != '\n' && c != '\t')
			return false;
		if (c == '\n' && i > 0 && text[i - 1] == ' ')
			return false; /* trailing spaces do not survive editors */
		i += sequence;
	}
	return true;
}

static void print_indent(struct buffer *out, size_t indent)
{
	for (size_t i = 0; i < indent; i++)
		buffer_append_char(out, ' ');
}

static void print_literal(struct buffer *out, const char *text, size_t indent)
{
	size_t length = strlen(text);
	size_t newlines = 0;
	while (newlines < length && text[length - 1 - newlines] == '\n')
		newlines++;
	buffer_append_text(out, newlines == 0 ? "|-\n" : newlines == 1 ? "|\n" : "|+\n");
	while (*text != '\0') {
		size_t line = strcspn(text, "\n");
		if (line > 0)
			print_indent(out, indent);
		buffer_append(out, text, line);
		buffer_append_char(out, '\n');
		text += line + (text[line] == '\n');
	}
}

/* A value that is not a collection with members; ends the line. indent: of the lines below. */
static void print_scalar(struct buffer *out, const json *node, size_t indent)
{
	const char *text = json_string(node);
	if (text != NULL && is_literal(text)) {
		print_literal(out, text, indent);
		return;
	}
	if (text != NULL && is_plain(text))
		buffer_append_text(out, text);
	else if (text != NULL)
		print_quoted(out, text);
	else
		json_print(out, node, 0);
	buffer_append_char(out, '\n');
}

static void print_key(struct buffer *out, const char *key)
{
	if (is_plain(key))
		buffer_append_text(out, key);
	else
		print_quoted(out, key);
	buffer_append_char(out, ':');
}

struct level {
	const json *container;
	const json *next; /* member to print */
	size_t indent;
	bool on_line; /* the first member goes where the line is */
};

void yaml_print(struct buffer *out, const json *node)
{
	struct level levels[YAML_DEPTH_MAX + 2];
	size_t depth = 0;
	if (json_first(node) == NULL) {
		print_scalar(out, node, 2);
		return;
	}
	levels[depth++] = (struct level){.container = node, .next = json_first(node)};
	while (depth > 0) {
		struct level *level = &levels[depth - 1];
		const json *member = level->next;
		if (member == NULL) {
			depth--;
			continue;
		}
		level->next = json_next(member);
		if (!level->on_line)
			print_indent(out, level->indent);
		level->on_line = false;

		bool in_object = json_is_object(level->container);
		if (in_object)
			print_key(out, json_key(member));
		else
			buffer_append_char(out, '-');
		if (json_first(member) == NULL) {
			buffer_append_char(out, ' ');
			print_scalar(out, member, level->indent + 2);
			continue;
		}
		if (depth == sizeof levels / sizeof levels[0]) {
			out->failed = true; /* deeper than anything that was parsed */
			return;
		}
		/* Lists stand below their key, everything else two columns in. */
		size_t indent = level->indent + (in_object && json_is_array(member) ? 0 : 2);
		buffer_append_char(out, in_object ? '\n' : ' ');
		levels[depth++] = (struct level){.container = member,
		                                 .next = json_first(member),
		                                 .indent = indent,
		                                 .on_line = !in_object};
	}
}
