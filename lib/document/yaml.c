#include "lib/document/yaml.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "lib/base/buffer.h"
#include "lib/base/utf8.h"

/* ---- Positions: chunks in the arena, searched only for messages ---- */

#define POSITIONS_CHUNK 128

struct yaml_positions {
	struct yaml_positions *next;
	size_t count;
	struct {
		const json *node;
		unsigned line;
		unsigned column;
	} entries[POSITIONS_CHUNK];
};

/* ---- What a plain scalar is ---- */

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

enum scalar { SCALAR_STRING, SCALAR_NULL, SCALAR_TRUE, SCALAR_FALSE, SCALAR_INTEGER, SCALAR_FLOAT };

/* integer is set for SCALAR_INTEGER only. Numbers may have underscores in them. */
static enum scalar resolve(const char *text, char *plain, size_t plain_size, int64_t *ret_integer)
{
	if (one_of(text, null_words))
		return SCALAR_NULL;
	if (one_of(text, true_words))
		return SCALAR_TRUE;
	if (one_of(text, false_words))
		return SCALAR_FALSE;
	if (strchr("+-.0123456789", text[0]) == NULL || strlen(text) >= plain_size)
		return SCALAR_STRING;
	size_t length = 0;
	for (const char *c = text; *c != '\0'; c++)
		if (*c != '_')
			plain[length++] = *c;
	plain[length] = '\0';
	if (parse_integer(plain, ret_integer))
		return SCALAR_INTEGER;
	return is_float(plain) ? SCALAR_FLOAT : SCALAR_STRING;
}

static json *plain_node(struct arena *arena, const char *text)
{
	char plain[256];
	int64_t integer;
	switch (resolve(text, plain, sizeof plain, &integer)) {
	case SCALAR_NULL:
		return json_new_null(arena);
	case SCALAR_TRUE:
		return json_new_bool(arena, true);
	case SCALAR_FALSE:
		return json_new_bool(arena, false);
	case SCALAR_INTEGER:
		return json_new_integer(arena, integer);
	case SCALAR_FLOAT:
		return float_node(arena, plain);
	case SCALAR_STRING:
		break;
	}
	return json_new_string(arena, text);
}

/* ---- Parsing: libyaml's events onto a stack of open collections ---- */

struct anchor {
	struct anchor *next;
	const char *name;
	const json *node;
	size_t nodes;  /* in the tree below and with it */
	size_t height; /* levels */
};

struct frame {
	json *node;
	const char *key; /* a mapping's, whose value comes next; NULL: a key comes next */
	const char *anchor;
	size_t nodes;
	size_t height;
};

struct parser {
	struct arena *arena;
	struct error *error;
	yaml_parser_t yaml;
	struct frame stack[YAML_DEPTH_MAX];
	size_t depth;
	json *root;
	struct anchor *anchors;
	size_t nodes;
	struct yaml_positions *positions;
};

static bool fail_at(struct parser *parser, const yaml_mark_t *mark, const char *what,
                    const char *detail)
{
	return error_set(parser->error, "line %zu, column %zu: %s%s%s", mark->line + 1,
	                 mark->column + 1, what, detail[0] == '\0' ? "" : " ", detail);
}

static bool no_room(struct parser *parser)
{
	return error_set(parser->error, "the document is too large");
}

static bool note_position(struct parser *parser, const json *node, const yaml_mark_t *mark)
{
	struct yaml_positions *chunk = parser->positions;
	if (chunk == NULL || chunk->count == POSITIONS_CHUNK) {
		chunk = arena_allocate(parser->arena, sizeof *chunk);
		if (chunk == NULL)
			return no_room(parser);
		chunk->next = parser->positions;
		parser->positions = chunk;
	}
	chunk->entries[chunk->count].node = node;
	chunk->entries[chunk->count].line = (unsigned)mark->line + 1;
	chunk->entries[chunk->count].column = (unsigned)mark->column + 1;
	chunk->count++;
	return true;
}

/* A complete value finds its place: the root, a list's next element, a mapping's value. */
static bool place(struct parser *parser, json *value, size_t nodes, size_t height,
                  const yaml_mark_t *mark)
{
	if (value == NULL)
		return no_room(parser);
	parser->nodes += nodes;
	if (parser->nodes > YAML_NODES_MAX)
		return fail_at(parser, mark, "too many nodes", "");
	if (parser->depth + height > YAML_DEPTH_MAX)
		return fail_at(parser, mark, "nested too deeply", "");
	if (parser->depth == 0) {
		parser->root = value;
		return true;
	}
	struct frame *frame = &parser->stack[parser->depth - 1];
	frame->nodes += nodes;
	if (frame->height < height + 1)
		frame->height = height + 1;
	if (json_is_array(frame->node))
		return json_append(frame->node, value) || no_room(parser);
	if (frame->key == NULL)
		return fail_at(parser, mark, "expected a key that is a scalar", "");
	bool added = json_add_member(parser->arena, frame->node, frame->key, value);
	frame->key = NULL;
	return added || no_room(parser);
}

static bool remember_anchor(struct parser *parser, const char *name, const json *node, size_t nodes,
                            size_t height)
{
	struct anchor *anchor = arena_allocate(parser->arena, sizeof *anchor);
	if (anchor == NULL)
		return no_room(parser);
	*anchor = (struct anchor){.next = parser->anchors,
	                          .name = name,
	                          .node = node,
	                          .nodes = nodes,
	                          .height = height};
	parser->anchors = anchor;
	return true;
}

static bool wants_key(const struct parser *parser)
{
	return parser->depth > 0 && json_is_object(parser->stack[parser->depth - 1].node) &&
	       parser->stack[parser->depth - 1].key == NULL;
}

static bool take_key(struct parser *parser, const char *text, const yaml_mark_t *mark)
{
	struct frame *frame = &parser->stack[parser->depth - 1];
	if (json_get(frame->node, text) != NULL)
		return fail_at(parser, mark, "key given twice:", text);
	frame->key = text;
	return true;
}

/* A tagged scalar: only the tags of the core schema, and !!str decides something. */
static bool known_tag(const char *tag, bool *ret_string)
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

static bool take_scalar(struct parser *parser, const yaml_event_t *event)
{
	const char *text = (const char *)event->data.scalar.value;
	const char *tag = (const char *)event->data.scalar.tag;
	const char *name = (const char *)event->data.scalar.anchor;
	bool is_string = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
	if (strlen(text) != event->data.scalar.length)
		return fail_at(parser, &event->start_mark, "a NUL in a string", "");
	if (tag != NULL) {
		bool tagged_string;
		if (!known_tag(tag, &tagged_string))
			return fail_at(parser, &event->start_mark, "unknown tag", tag);
		is_string = tagged_string;
	}

	const char *copy = arena_copy(parser->arena, text, strlen(text));
	if (copy == NULL)
		return no_room(parser);
	if (wants_key(parser))
		return take_key(parser, copy, &event->start_mark);
	json *node =
	        is_string ? json_new_string(parser->arena, copy) : plain_node(parser->arena, copy);
	if (!place(parser, node, 1, 1, &event->start_mark) ||
	    !note_position(parser, node, &event->start_mark))
		return false;
	const char *anchor = name == NULL ? NULL : arena_copy(parser->arena, name, strlen(name));
	return name == NULL || (anchor != NULL && remember_anchor(parser, anchor, node, 1, 1)) ||
	       no_room(parser);
}

static bool take_alias(struct parser *parser, const yaml_event_t *event)
{
	const char *name = (const char *)event->data.alias.anchor;
	const struct anchor *anchor = parser->anchors;
	while (anchor != NULL && strcmp(anchor->name, name) != 0)
		anchor = anchor->next;
	if (anchor == NULL)
		return fail_at(parser, &event->start_mark, "unknown alias", name);
	if (wants_key(parser))
		return json_string(anchor->node) != NULL
		               ? take_key(parser, json_string(anchor->node), &event->start_mark)
		               : fail_at(parser, &event->start_mark,
		                         "expected a key that is a string", "");
	if (parser->nodes + anchor->nodes > YAML_NODES_MAX)
		return fail_at(parser, &event->start_mark, "too many nodes", "");
	json *copy = json_duplicate(parser->arena, anchor->node);
	return place(parser, copy, anchor->nodes, anchor->height, &event->start_mark) &&
	       note_position(parser, copy, &event->start_mark);
}

static bool open_collection(struct parser *parser, json *node, const yaml_char_t *anchor,
                            const yaml_char_t *tag, const yaml_mark_t *mark)
{
	bool tagged_string = false;
	if (tag != NULL && (!known_tag((const char *)tag, &tagged_string) || tagged_string))
		return fail_at(parser, mark, "unknown tag", (const char *)tag);
	if (wants_key(parser))
		return fail_at(parser, mark, "expected a key that is a scalar", "");
	if (parser->depth == YAML_DEPTH_MAX)
		return fail_at(parser, mark, "nested too deeply", "");
	if (node == NULL)
		return no_room(parser);
	const char *name = NULL;
	if (anchor != NULL) {
		name = arena_copy(parser->arena, (const char *)anchor,
		                  strlen((const char *)anchor));
		if (name == NULL)
			return no_room(parser);
	}
	parser->stack[parser->depth++] =
	        (struct frame){.node = node, .anchor = name, .nodes = 1, .height = 1};
	return note_position(parser, node, mark);
}

static bool merge_one(struct parser *parser, json *target, const json *source)
{
	for (const json *member = json_first(source); member != NULL; member = json_next(member)) {
		if (json_get(target, json_key(member)) != NULL)
			continue;
		json *copy = json_duplicate(parser->arena, member);
		if (copy == NULL || !json_add_member(parser->arena, target, json_key(member), copy))
			return no_room(parser);
	}
	return true;
}

/* "<<": the members of another mapping, or of several, where the mapping has none of its own. */
static bool merge(struct parser *parser, json *mapping, const yaml_mark_t *mark)
{
	json *source = json_get(mapping, "<<");
	if (source == NULL)
		return true;
	json_remove(mapping, source);
	if (json_is_object(source))
		return merge_one(parser, mapping, source);
	if (!json_is_array(source))
		return fail_at(parser, mark, "expected a mapping to merge", "");
	for (const json *n = json_first(source); n != NULL; n = json_next(n)) {
		if (!json_is_object(n))
			return fail_at(parser, mark, "expected a list of mappings to merge", "");
		if (!merge_one(parser, mapping, n))
			return false;
	}
	return true;
}

static bool close_collection(struct parser *parser, const yaml_event_t *event)
{
	struct frame frame = parser->stack[--parser->depth];
	if (json_is_object(frame.node) && !merge(parser, frame.node, &event->start_mark))
		return false;
	if (frame.anchor != NULL &&
	    !remember_anchor(parser, frame.anchor, frame.node, frame.nodes, frame.height))
		return false;
	/* Its nodes were counted as they came; only the collection itself is new. */
	if (!place(parser, frame.node, 1, frame.height, &event->start_mark))
		return false;
	if (parser->depth > 0)
		parser->stack[parser->depth - 1].nodes += frame.nodes - 1;
	return true;
}

static bool take_event(struct parser *parser, const yaml_event_t *event)
{
	switch (event->type) {
	case YAML_SCALAR_EVENT:
		return take_scalar(parser, event);
	case YAML_ALIAS_EVENT:
		return take_alias(parser, event);
	case YAML_SEQUENCE_START_EVENT:
		return open_collection(parser, json_new_array(parser->arena),
		                       event->data.sequence_start.anchor,
		                       event->data.sequence_start.tag, &event->start_mark);
	case YAML_MAPPING_START_EVENT:
		return open_collection(parser, json_new_object(parser->arena),
		                       event->data.mapping_start.anchor,
		                       event->data.mapping_start.tag, &event->start_mark);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		return close_collection(parser, event);
	default:
		return true;
	}
}

static bool fail_syntax(struct parser *parser)
{
	const yaml_parser_t *yaml = &parser->yaml;
	if (yaml->error == YAML_MEMORY_ERROR)
		return no_room(parser);
	if (yaml->error == YAML_READER_ERROR)
		return error_set(parser->error, "byte %zu: %s", yaml->problem_offset,
		                 yaml->problem == NULL ? "not YAML" : yaml->problem);
	return fail_at(parser, &yaml->problem_mark,
	               yaml->problem == NULL ? "not YAML" : yaml->problem,
	               yaml->context == NULL ? "" : yaml->context);
}

struct document_list {
	struct yaml_document *items;
	size_t count;
	size_t capacity;
	const char *text; /* of all of them */
	size_t length;
	size_t bytes; /* libyaml counts characters: the same place in both */
	size_t characters;
};

/* The byte offset of a character; they are asked for in rising order. */
static size_t byte_offset(struct document_list *list, size_t characters)
{
	while (list->characters < characters && list->bytes < list->length) {
		size_t sequence =
		        utf8_sequence(list->text + list->bytes, list->length - list->bytes);
		list->bytes += sequence == 0 ? 1 : sequence;
		list->characters++;
	}
	return list->bytes;
}

static bool add_document(struct parser *parser, struct document_list *list, size_t start,
                         size_t end)
{
	if (list->count == list->capacity) {
		size_t capacity = list->capacity == 0 ? 8 : list->capacity * 2;
		struct yaml_document *items =
		        arena_allocate(parser->arena, capacity * sizeof *items);
		if (items == NULL)
			return no_room(parser);
		if (list->count > 0)
			memcpy(items, list->items, list->count * sizeof *items);
		list->items = items;
		list->capacity = capacity;
	}
	json *root = parser->root == NULL ? json_new_null(parser->arena) : parser->root;
	if (root == NULL)
		return no_room(parser);
	list->items[list->count++] =
	        (struct yaml_document){.root = root, .start = start, .end = end};
	parser->root = NULL;
	parser->anchors = NULL; /* anchors end with their document */
	return true;
}

static bool parse_events(struct parser *parser, struct document_list *list)
{
	size_t start = 0;
	for (bool going = true; going;) {
		yaml_event_t event;
		if (!yaml_parser_parse(&parser->yaml, &event))
			return fail_syntax(parser);
		bool taken = take_event(parser, &event);
		if (taken && event.type == YAML_DOCUMENT_END_EVENT) {
			size_t end = byte_offset(list, event.end_mark.index);
			taken = add_document(parser, list, start, end);
			start = end;
		}
		going = event.type != YAML_STREAM_END_EVENT;
		yaml_event_delete(&event);
		if (!taken)
			return false;
	}
	return true;
}

bool yaml_parse(struct arena *arena, const char *text, size_t length,
                struct yaml_document **ret_documents, size_t *ret_count, struct error *error)
{
	size_t valid = utf8_valid_prefix(text, length);
	if (valid < length)
		return error_set(error, "byte %zu: not UTF-8", valid);

	struct parser *parser = arena_allocate(arena, sizeof *parser);
	if (parser == NULL || !yaml_parser_initialize(&parser->yaml))
		return error_set(error, "no memory");
	parser->arena = arena;
	parser->error = error;
	yaml_parser_set_encoding(&parser->yaml, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&parser->yaml, (const unsigned char *)text, length);
	struct document_list list = {.text = text, .length = length};
	if (length >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0)
		list.bytes = 3; /* the byte order mark is no character to libyaml */
	bool parsed = parse_events(parser, &list);
	yaml_parser_delete(&parser->yaml);
	if (!parsed)
		return false;
	for (size_t i = 0; i < list.count; i++)
		list.items[i].positions = parser->positions;
	*ret_documents = list.items;
	*ret_count = list.count;
	return true;
}

bool yaml_parse_one(struct arena *arena, const char *text, size_t length,
                    struct yaml_document **ret_document, struct error *error)
{
	struct yaml_document *documents = NULL;
	size_t count = 0;
	if (!yaml_parse(arena, text, length, &documents, &count, error))
		return false;
	if (count != 1)
		return error_set(error, "line 1, column 1: expected one document, got %zu", count);
	*ret_document = documents;
	return true;
}

void yaml_position(const struct yaml_document *document, const json *node, unsigned *ret_line,
                   unsigned *ret_column)
{
	const json *wanted[] = {node, document->root};
	for (size_t i = 0; i < 2; i++)
		for (const struct yaml_positions *chunk = document->positions; chunk != NULL;
		     chunk = chunk->next)
			for (size_t j = 0; j < chunk->count; j++)
				if (chunk->entries[j].node == wanted[i]) {
					*ret_line = chunk->entries[j].line;
					*ret_column = chunk->entries[j].column;
					return;
				}
	*ret_line = 1;
	*ret_column = 1;
}

/* ---- Printing ---- */

static uint32_t code_point(const char *bytes, size_t length)
{
	const unsigned char *b = (const unsigned char *)bytes;
	switch (length) {
	case 2:
		return (b[0] & 0x1Fu) << 6 | (b[1] & 0x3Fu);
	case 3:
		return (b[0] & 0x0Fu) << 12 | (b[1] & 0x3Fu) << 6 | (b[2] & 0x3Fu);
	case 4:
		return (b[0] & 0x07u) << 18 | (b[1] & 0x3Fu) << 12 | (b[2] & 0x3Fu) << 6 |
		       (b[3] & 0x3Fu);
	default:
		return b[0];
	}
}

/* YAML 1.1 section 5.1, less what it takes for line breaks and the byte order mark. */
static bool is_printable(uint32_t c)
{
	return (c >= 0x20 && c <= 0x7E) ||
	       (c >= 0xA0 && c <= 0xD7FF && c != 0x2028 && c != 0x2029) ||
	       (c >= 0xE000 && c <= 0xFFFD && c != 0xFEFF) || (c >= 0x10000 && c <= 0x10FFFF);
}

static void print_quoted(struct buffer *out, const char *text)
{
	static const char short_escapes[] = {['\t'] = 't', ['\n'] = 'n', ['\r'] = 'r'};
	size_t length = strlen(text);
	buffer_append_char(out, '"');
	for (size_t i = 0; i < length;) {
		size_t sequence = utf8_sequence(text + i, length - i);
		uint32_t c = sequence == 0 ? 0xFFFD : code_point(text + i, sequence);
		if (c == '"' || c == '\\')
			buffer_printf(out, "\\%c", (int)c);
		else if (sequence > 0 && is_printable(c))
			buffer_append(out, text + i, sequence);
		else if (c < sizeof short_escapes && short_escapes[c] != 0)
			buffer_printf(out, "\\%c", short_escapes[c]);
		else if (c <= 0xFF)
			buffer_printf(out, "\\x%02x", (unsigned)c);
		else
			buffer_printf(out, "\\u%04x", (unsigned)c);
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
	char plain[256];
	int64_t integer;
	size_t length = strlen(text);
	char first = text[0];
	if (length == 0 || !((first >= 'a' && first <= 'z') || (first >= 'A' && first <= 'Z') ||
	                     (first >= '0' && first <= '9') || first == '/' || first == '_'))
		return false;
	if (strspn(text, allowed) != length || text[length - 1] == ' ' || text[length - 1] == ':' ||
	    strstr(text, ": ") != NULL || strstr(text, " #") != NULL)
		return false;
	/* Numbers, dates and base 60 of one version of YAML or another. */
	if ((strspn(text, digits_and_signs) == length && strpbrk(text, "0123456789") != NULL) ||
	    strncmp(text, "0x", 2) == 0)
		return false;
	return resolve(text, plain, sizeof plain, &integer) == SCALAR_STRING;
}

/* Several lines that a literal block can hold as they are. */
static bool is_literal(const char *text)
{
	size_t length = strlen(text);
	if (strchr(text, '\n') == NULL || text[0] == ' ' || text[0] == '\n' || text[0] == '\t')
		return false;
	for (size_t i = 0; i < length;) {
		size_t sequence = utf8_sequence(text + i, length - i);
		uint32_t c = sequence == 0 ? 0 : code_point(text + i, sequence);
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
