#include "cli/documents.h"

#include <string.h>

#include "cli/input.h"
#include "lib/base/buffer.h"
#include "lib/document/yaml.h"

#define ARENA_LIMIT   ((size_t)1024 * 1024 * 1024)
#define DOCUMENTS_MAX ((size_t)100000)

/* ---- JSON: any number of values, one after the other ---- */

/* Bytes of the value at text, by its brackets and quotes alone: the parser checks whether it is
 * JSON. */
static size_t value_length(const char *text, size_t length)
{
	size_t depth = 0;
	bool in_string = false;
	for (size_t i = 0; i < length; i++) {
		char c = text[i];
		if (in_string && c == '\\')
			i++;
		else if (c == '"')
			in_string = !in_string;
		else if (!in_string && (c == '{' || c == '['))
			depth++;
		else if (!in_string && (c == '}' || c == ']') && --depth == 0)
			return i + 1;
	}
	return length;
}

static bool warn(struct documents *documents, const char *text)
{
	struct yaml_warning *warning = arena_allocate(documents->arena, sizeof *warning);
	if (warning == NULL || text == NULL)
		return false;
	*warning = (struct yaml_warning){.text = text};
	struct yaml_warning **end = &documents->warnings;
	while (*end != NULL)
		end = &(*end)->next;
	*end = warning;
	return true;
}

/* Of a key given twice the last one counts, as kubectl has it. */
static bool parse_value(struct documents *documents, const char *text, size_t length,
                        json **ret_root, struct error *error)
{
	struct error repeated;
	enum json_fidelity fidelity =
	        json_parse(documents->arena, text, length, JSON_KEEP_NUMBERS, ret_root, &repeated);
	if (fidelity == JSON_FAITHFUL)
		return true;
	if (json_parse(documents->arena, text, length, JSON_KEEP_NUMBERS | JSON_LAST_KEY, ret_root,
	               error) != JSON_FAITHFUL)
		return false;
	return warn(documents,
	            arena_printf(documents->arena, "%s, the last one counts", repeated.message)) ||
	       error_set(error, "no memory");
}

/* Bytes of a byte order mark at the start. */
static size_t skip_mark(const char *text)
{
	return strncmp(text, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
}

static bool parse_json(struct documents *documents, size_t length, struct error *error)
{
	size_t capacity = 0;
	const char *text = documents->text + skip_mark(documents->text);
	const char *end = documents->text + length;
	text += strspn(text, " \t\r\n");
	for (const char *at = text; at < end; capacity++) {
		at += value_length(at, (size_t)(end - at));
		at += strspn(at, " \t\r\n");
	}
	if (capacity > DOCUMENTS_MAX)
		return error_set(error, "expected at most %zu documents", DOCUMENTS_MAX);
	documents->items = arena_allocate(documents->arena, capacity * sizeof *documents->items);
	if (documents->items == NULL)
		return error_set(error, "no memory");
	while (text < end) {
		size_t bytes = value_length(text, (size_t)(end - text));
		struct document *document = &documents->items[documents->count];
		*document = (struct document){.text = text, .length = bytes};
		if (!parse_value(documents, text, bytes, &document->root, error))
			return false;
		documents->count++;
		text += bytes;
		text += strspn(text, " \t\r\n");
	}
	documents->is_json = true;
	return true;
}

/* ---- YAML ---- */

/* "---" is not the document's, unless content follows it on the line. An empty document keeps it:
 * it may be all that there is before "...". */
static void strip_marker(struct document *document)
{
	if (json_is_null(document->root) || document->length < 3 ||
	    strncmp(document->text, "---", 3) != 0)
		return;
	size_t skip = 3 + strspn(document->text + 3, " \t");
	if (skip < document->length && strchr("\r\n#", document->text[skip]) == NULL)
		return;
	if (skip < document->length && document->text[skip] != '#')
		skip += strspn(document->text + skip, "\r\n");
	skip = skip > document->length ? document->length : skip;
	document->text += skip;
	document->length -= skip;
}

static bool parse_yaml(struct documents *documents, size_t length, struct error *error)
{
	struct yaml_document *parsed;
	size_t count;
	if (!yaml_parse(documents->arena, documents->text, length, YAML_AS_KUBECTL, &parsed, &count,
	                error))
		return false;
	documents->count = 0;
	documents->items = arena_allocate(documents->arena, (count + 1) * sizeof *documents->items);
	if (documents->items == NULL)
		return error_set(error, "no memory");
	for (size_t i = 0; i < count; i++) {
		struct document *document = &documents->items[documents->count++];
		*document = (struct document){.root = parsed[i].root,
		                              .text = documents->text + parsed[i].start,
		                              .length = parsed[i].end - parsed[i].start};
		strip_marker(document);
	}
	documents->warnings = count == 0 ? NULL : parsed[0].warnings;
	return true;
}

/* ---- Both ---- */

static bool are_objects(const struct documents *documents, struct error *error)
{
	size_t objects = 0;
	for (size_t i = 0; i < documents->count; i++) {
		const json *root = documents->items[i].root;
		if (!json_is_object(root) && !json_is_null(root))
			return error_set(error, "document %zu is %s, expected a Kubernetes object",
			                 i + 1, json_type_name(root));
		objects += json_is_object(root);
	}
	return objects > 0 || error_set(error, "expected a Kubernetes object, got nothing");
}

/* What looks like JSON may be YAML, too: a flow mapping. */
static bool parse(struct documents *documents, size_t length, struct error *error)
{
	const char *text = documents->text + skip_mark(documents->text);
	char first = text[strspn(text, " \t\r\n")];
	bool parsed = (first == '{' || first == '[') && parse_json(documents, length, error);
	return (parsed || parse_yaml(documents, length, error)) && are_objects(documents, error);
}

bool documents_parse(const char *text, size_t length, struct documents *ret_documents,
                     struct error *error)
{
	struct documents documents = {.arena = arena_new(ARENA_LIMIT)};
	if (documents.arena != NULL)
		documents.text = arena_copy(documents.arena, text, length);
	bool parsed = documents.text == NULL ? error_set(error, "no memory")
	                                     : parse(&documents, length, error);
	if (!parsed) {
		documents_free(&documents);
		return false;
	}
	*ret_documents = documents;
	return true;
}

bool documents_load(const char *path, struct documents *ret_documents, struct error *error)
{
	struct buffer _cleanup_buffer_ text;
	buffer_init(&text, DOCUMENTS_SIZE_MAX);
	return input_read(path, &text, error) &&
	       (documents_parse(buffer_text(&text), text.length, ret_documents, error) ||
	        error_wrap(error, "%s", path));
}

void documents_free(struct documents *documents)
{
	arena_free(documents->arena);
	*documents = (struct documents){0};
}
