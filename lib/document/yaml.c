#include "lib/document/yaml.h"

#include <string.h>
#include <yaml.h>

#include "lib/base/utf8.h"
#include "lib/document/yaml_scalar.h"

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
		if (!yaml_tag_known(tag, &tagged_string))
			return fail_at(parser, &event->start_mark, "unknown tag", tag);
		is_string = tagged_string;
	}

	const char *copy = arena_copy(parser->arena, text, strlen(text));
	if (copy == NULL)
		return no_room(parser);
	if (wants_key(parser))
		return take_key(parser, copy, &event->start_mark);
	json *node = is_string ? json_new_string(parser->arena, copy)
	                       : yaml_plain_node(parser->arena, copy);
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
	if (tag != NULL && (!yaml_tag_known((const char *)tag, &tagged_string) || tagged_string))
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
