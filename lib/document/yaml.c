#include "lib/document/yaml.h"

#include <stdio.h>
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
		struct position {
			unsigned line; /* from 0 */
			unsigned column;
		} at[2]; /* its own; its key's, or again its own */
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
	yaml_mark_t key_mark;
	bool merges; /* the key is "<<" */
	bool merged; /* there was one before */
	json *merge; /* strict: what "<<" names, for the end of the mapping */
	const char *anchor;
	size_t nodes;
	size_t height;
};

struct parser {
	struct arena *arena;
	struct error *error;
	bool strict;
	const char *text;
	yaml_parser_t yaml;
	struct frame stack[YAML_DEPTH_MAX];
	size_t depth;
	json *root;
	struct anchor *anchors;
	size_t nodes;
	struct yaml_positions *positions;
	struct yaml_warning *warnings;
	struct yaml_warning **warnings_end;
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

static struct position position_of(const yaml_mark_t *mark)
{
	return (struct position){(unsigned)mark->line, (unsigned)mark->column};
}

/* parent: the frame that the node goes into; NULL: it is a document's root. */
static bool note_position(struct parser *parser, const json *node, const struct frame *parent,
                          const yaml_mark_t *mark)
{
	struct yaml_positions *chunk = parser->positions;
	if (chunk == NULL || chunk->count == POSITIONS_CHUNK) {
		chunk = arena_allocate(parser->arena, sizeof *chunk);
		if (chunk == NULL)
			return no_room(parser);
		chunk->next = parser->positions;
		parser->positions = chunk;
	}
	bool has_key = parent != NULL && json_is_object(parent->node);
	chunk->entries[chunk->count].node = node;
	chunk->entries[chunk->count].at[0] = position_of(mark);
	chunk->entries[chunk->count].at[1] = position_of(has_key ? &parent->key_mark : mark);
	chunk->count++;
	return true;
}

static bool has_position(const struct parser *parser, const json *node)
{
	for (const struct yaml_positions *chunk = parser->positions; chunk != NULL;
	     chunk = chunk->next)
		for (size_t i = 0; i < chunk->count; i++)
			if (chunk->entries[i].node == node)
				return true;
	return false;
}

static bool warn(struct parser *parser, const yaml_mark_t *mark, const char *text)
{
	struct yaml_warning *warning = arena_allocate(parser->arena, sizeof *warning);
	if (warning == NULL || text == NULL)
		return no_room(parser);
	*warning = (struct yaml_warning){.line = (unsigned)mark->line + 1,
	                                 .column = (unsigned)mark->column + 1,
	                                 .text = text};
	*parser->warnings_end = warning;
	parser->warnings_end = &warning->next;
	return true;
}

/* ---- Merge keys ---- */

/* The members of source; where target has one of that name, it stays in strict mode only. */
static bool merge_mapping(struct parser *parser, json *target, const json *source)
{
	for (const json *member = json_first(source); member != NULL; member = json_next(member)) {
		if (parser->strict && json_get(target, json_key(member)) != NULL)
			continue;
		json *copy = json_duplicate(parser->arena, member);
		if (copy == NULL || !json_set_member(parser->arena, target, json_key(member), copy))
			return no_room(parser);
	}
	return true;
}

/*
 * "<<": the members of another mapping, or of several of which the first ones have precedence.
 * kubectl merges where the key stands: what stands before is overridden, what follows overrides. In
 * strict mode the mapping's own members have precedence wherever they stand, as YAML has it.
 */
static bool merge(struct parser *parser, json *target, const json *source, const yaml_mark_t *mark)
{
	if (json_is_object(source))
		return merge_mapping(parser, target, source);
	if (!json_is_array(source))
		return fail_at(parser, mark, "expected a mapping to merge", "");
	size_t count = json_size(source);
	for (size_t i = 0; i < count; i++) {
		const json *one = json_at(source, parser->strict ? i : count - 1 - i);
		if (!json_is_object(one))
			return fail_at(parser, mark, "expected a list of mappings to merge", "");
		if (!merge_mapping(parser, target, one))
			return false;
	}
	return true;
}

/* The value of "<<" has come. */
static bool take_merge(struct parser *parser, struct frame *frame, json *value,
                       const yaml_mark_t *mark)
{
	frame->key = NULL;
	frame->merges = false;
	if (!parser->strict)
		return merge(parser, frame->node, value, mark);
	if (frame->merge != NULL)
		return fail_at(parser, &frame->key_mark, "key given twice:", "<<");
	frame->merge = value;
	return true;
}

/* ---- Values ---- */

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
	if (frame->merges)
		return take_merge(parser, frame, value, mark);
	bool added = json_set_member(parser->arena, frame->node, frame->key, value);
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

/* The collection that is open; NULL: none is. */
static const struct frame *top_frame(const struct parser *parser)
{
	return parser->depth == 0 ? NULL : &parser->stack[parser->depth - 1];
}

static bool wants_key(const struct parser *parser)
{
	return parser->depth > 0 && json_is_object(parser->stack[parser->depth - 1].node) &&
	       parser->stack[parser->depth - 1].key == NULL;
}

/* Where a key of the mapping is given twice kubectl takes the last one; so do we, and say so. */
static bool take_key(struct parser *parser, const char *text, bool merges, const yaml_mark_t *mark)
{
	struct frame *frame = &parser->stack[parser->depth - 1];
	const json *before = merges ? NULL : json_get(frame->node, text);
	if (before != NULL && parser->strict)
		return fail_at(parser, mark, "key given twice:", text);
	bool twice = merges ? frame->merged && !parser->strict
	                    : before != NULL && has_position(parser, before);
	if (twice && !warn(parser, mark,
	                   arena_printf(parser->arena,
	                                "key given twice, the last one counts: %.200s", text)))
		return false;
	frame->key = text;
	frame->key_mark = *mark;
	frame->merges = merges;
	frame->merged = frame->merged || merges;
	return true;
}

/* The scalar's value. In strict mode only tags of the core schema are known, and a key is the text
 * as it stands. */
static bool scalar_node(struct parser *parser, const yaml_event_t *event, json **ret_node)
{
	struct error error;
	const char *text = (const char *)event->data.scalar.value;
	const char *tag = (const char *)event->data.scalar.tag;
	bool quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
	bool is_string;
	if (strlen(text) != event->data.scalar.length)
		return fail_at(parser, &event->start_mark, "a NUL in a string", "");
	if (parser->strict && tag != NULL && !yaml_tag_known(tag, &is_string))
		return fail_at(parser, &event->start_mark, "unknown tag", tag);
	bool as_text = parser->strict && tag == NULL && wants_key(parser);
	return yaml_scalar_node(parser->arena, text, tag, quoted || as_text, ret_node, &error) ||
	       fail_at(parser, &event->start_mark, error.message, "");
}

static bool is_merge_key(const yaml_event_t *event)
{
	const char *tag = (const char *)event->data.scalar.tag;
	if (strcmp((const char *)event->data.scalar.value, "<<") != 0)
		return false;
	return tag == NULL ? event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE
	                   : strcmp(tag, "tag:yaml.org,2002:merge") == 0;
}

static bool take_key_node(struct parser *parser, const json *node, bool merges,
                          const yaml_mark_t *mark)
{
	struct error error;
	const char *key;
	if (!yaml_key_text(parser->arena, node, &key, &error))
		return fail_at(parser, mark, error.message, "");
	return take_key(parser, key, merges, mark);
}

static bool take_scalar(struct parser *parser, const yaml_event_t *event)
{
	const yaml_mark_t *mark = &event->start_mark;
	const char *name = (const char *)event->data.scalar.anchor;
	json *node;
	if (!scalar_node(parser, event, &node))
		return false;
	if (wants_key(parser)) {
		if (!take_key_node(parser, node, is_merge_key(event), mark))
			return false;
	} else if (!place(parser, node, 1, 1, mark) ||
	           !note_position(parser, node, top_frame(parser), mark)) {
		return false;
	}
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
		return take_key_node(parser, anchor->node, false, &event->start_mark);
	if (parser->nodes + anchor->nodes > YAML_NODES_MAX)
		return fail_at(parser, &event->start_mark, "too many nodes", "");
	json *copy = json_duplicate(parser->arena, anchor->node);
	return place(parser, copy, anchor->nodes, anchor->height, &event->start_mark) &&
	       note_position(parser, copy, top_frame(parser), &event->start_mark);
}

static bool open_collection(struct parser *parser, json *node, const yaml_char_t *anchor,
                            const yaml_char_t *tag, const yaml_mark_t *mark)
{
	bool tagged_string = false;
	if (parser->strict && tag != NULL &&
	    (!yaml_tag_known((const char *)tag, &tagged_string) || tagged_string))
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
	const struct frame *parent = top_frame(parser);
	parser->stack[parser->depth++] =
	        (struct frame){.node = node, .anchor = name, .nodes = 1, .height = 1};
	return note_position(parser, node, parent, mark);
}

static bool close_collection(struct parser *parser, const yaml_event_t *event)
{
	struct frame frame = parser->stack[--parser->depth];
	if (frame.merge != NULL && !merge(parser, frame.node, frame.merge, &event->start_mark))
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

/* libyaml's reader knows bytes, people lines and columns. */
static yaml_mark_t mark_of_byte(const char *text, size_t offset)
{
	yaml_mark_t mark = {.index = offset};
	for (size_t i = 0; i < offset; i++) {
		bool continues = ((unsigned char)text[i] & 0xC0) == 0x80;
		mark.column = text[i] == '\n' ? 0 : mark.column + (continues ? 0 : 1);
		mark.line += text[i] == '\n';
	}
	return mark;
}

static bool fail_syntax(struct parser *parser)
{
	const yaml_parser_t *yaml = &parser->yaml;
	if (yaml->error == YAML_MEMORY_ERROR)
		return no_room(parser);
	if (yaml->error == YAML_READER_ERROR) {
		yaml_mark_t mark = mark_of_byte(parser->text, yaml->problem_offset);
		return fail_at(parser, &mark, yaml->problem == NULL ? "not YAML" : yaml->problem,
		               "");
	}
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

/* The byte behind the line end that follows. */
static size_t line_end(const struct document_list *list, size_t from)
{
	const char *end = memchr(list->text + from, '\n', list->length - from);
	return end == NULL ? list->length : (size_t)(end + 1 - list->text);
}

static bool parse_events(struct parser *parser, struct document_list *list)
{
	size_t start = list->bytes;
	for (bool going = true; going;) {
		yaml_event_t event;
		if (!yaml_parser_parse(&parser->yaml, &event))
			return fail_syntax(parser);
		bool taken = take_event(parser, &event);
		if (taken && event.type == YAML_DOCUMENT_END_EVENT) {
			size_t end = byte_offset(list, event.end_mark.index);
			/* The line of "..." is the document's to its end. */
			if (!event.data.document_end.implicit)
				end = line_end(list, end);
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

bool yaml_parse(struct arena *arena, const char *text, size_t length, enum yaml_mode mode,
                struct yaml_document **ret_documents, size_t *ret_count, struct error *error)
{
	struct parser *parser = arena_allocate(arena, sizeof *parser);
	if (parser == NULL)
		return error_set(error, "no memory");
	parser->arena = arena;
	parser->error = error;
	parser->warnings_end = &parser->warnings;
	parser->text = text;
	size_t valid = utf8_valid_prefix(text, length);
	if (valid < length) {
		yaml_mark_t mark = mark_of_byte(text, valid);
		char what[64];
		snprintf(what, sizeof what, "byte %zu: not UTF-8", valid);
		return fail_at(parser, &mark, what, "");
	}
	if (!yaml_parser_initialize(&parser->yaml))
		return error_set(error, "no memory");
	parser->strict = mode == YAML_STRICT;
	yaml_parser_set_encoding(&parser->yaml, YAML_UTF8_ENCODING);
	/* libyaml would count the byte order mark as a character. */
	size_t skip = length >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
	parser->text += skip;
	yaml_parser_set_input_string(&parser->yaml, (const unsigned char *)parser->text,
	                             length - skip);
	struct document_list list = {.text = text, .length = length, .bytes = skip};
	bool parsed = parse_events(parser, &list);
	yaml_parser_delete(&parser->yaml);
	if (!parsed)
		return false;
	for (size_t i = 0; i < list.count; i++) {
		list.items[i].positions = parser->positions;
		list.items[i].warnings = parser->warnings;
	}
	*ret_documents = list.items;
	*ret_count = list.count;
	return true;
}

bool yaml_parse_one(struct arena *arena, const char *text, size_t length,
                    struct yaml_document **ret_document, struct error *error)
{
	struct yaml_document *documents = NULL;
	size_t count = 0;
	if (!yaml_parse(arena, text, length, YAML_STRICT, &documents, &count, error))
		return false;
	if (count != 1)
		return error_set(error, "line 1, column 1: expected one document, got %zu", count);
	*ret_document = documents;
	return true;
}

/* That of the node; of the root where the node has none. */
static struct position find_position(const struct yaml_document *document, const json *node,
                                     bool key)
{
	const json *wanted[] = {node, document->root};
	for (size_t i = 0; i < 2; i++)
		for (const struct yaml_positions *chunk = document->positions; chunk != NULL;
		     chunk = chunk->next)
			for (size_t j = 0; j < chunk->count; j++)
				if (chunk->entries[j].node == wanted[i])
					return chunk->entries[j].at[key ? 1 : 0];
	return (struct position){0, 0};
}

void yaml_position(const struct yaml_document *document, const json *node, bool key,
                   unsigned *ret_line, unsigned *ret_column)
{
	struct position position = find_position(document, node, key);
	*ret_line = position.line + 1;
	*ret_column = position.column + 1;
}
