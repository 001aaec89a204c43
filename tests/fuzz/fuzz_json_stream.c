/* A text into json_stream, in pieces cut where its first bytes say: the cuts make no difference;
 * what is kept is JSON; and where json_parse() takes the whole text as it is, what is kept is what
 * a walk over its tree keeps. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/buffer.h"
#include "lib/document/json.h"
#include "lib/document/json_stream.h"
#include "tests/unit/json_equal.h"

#define EXTRA_MAX   4096
#define PIECES_MAX  ((size_t)64 << 20)
#define OBJECTS_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct json_filter leaf[] = {{.key = "x", .text_max = 500}, {.key = NULL}};
static const struct json_filter inner[] = {
        {.key = "name", .text_max = 500},
        {.key = "command", .elements_max = 100, .only_in = "dog", .extra = true},
        {.key = "o", .members = leaf, .elements_max = 5},
        {.key = "k*", .extra = true},
        {.key = NULL},
};
static const struct json_filter whole[] = {
        {.key = "a", .text_max = 500, .elements_max = 100},
        {.key = "o", .members = inner},
        {.key = "c", .members = inner, .elements_max = 20},
        {.key = NULL},
};
static const struct json_filter list[] = {
        {.key = "a", .text_max = 500}, {.key = "c", .members = inner, .each = true}, {.key = NULL}};

static void require(bool good)
{
	if (!good)
		abort();
}

/* ---- By the stream ---- */

struct result {
	struct buffer pieces; /* one a line; no piece has a line end of its own outside of strings,
	                         and none inside */
	bool cut;
	bool good; /* the text is whole */
};

static bool take(void *context, const struct json_piece *piece)
{
	struct result *result = context;
	result->cut = result->cut || piece->cut;
	buffer_append_text(&result->pieces, piece->element ? "e" : "o");
	buffer_append(&result->pieces, piece->text, piece->length);
	buffer_append_char(&result->pieces, '\n');
	return true;
}

static void run(const struct json_filter *filter, const char *text, size_t length, uint8_t cuts,
                struct result *ret_result)
{
	struct json_stream *stream = malloc(sizeof *stream);
	size_t room = json_filter_bound(filter, EXTRA_MAX) + 1;
	char *storage = malloc(room);
	struct error error;
	*ret_result = (struct result){.cut = false};
	buffer_init(&ret_result->pieces, PIECES_MAX);
	require(stream != NULL && storage != NULL);
	require(json_stream_init(stream, filter, EXTRA_MAX, storage, room, &error));
	bool more = true;
	for (size_t at = 0; more && at < length;) {
		size_t piece = cuts == 0 ? length : 1 + (at * 31 + cuts) % cuts;
		piece = piece < length - at ? piece : length - at;
		more = json_stream_feed(stream, text + at, piece, take, ret_result, &error);
		at += piece;
	}
	require(more != json_stream_failed(stream));
	require(stream->scanner.work <= 2 * length && stream->keys <= 8 * length);
	ret_result->good = json_stream_is_between(stream);
	free(storage);
	free(stream);
}

/* ---- By the tree ---- */

static json *project(struct arena *arena, const json *object, const struct json_filter *members);

static json *value_of(struct arena *arena, const json *node, const struct json_filter *filter,
                      bool in_array)
{
	if (json_is_array(node) && !in_array && filter->elements_max > 0) {
		json *array = json_new_array(arena);
		for (const json *n = json_first(node); n != NULL; n = json_next(n))
			json_append(array, value_of(arena, n, filter, true));
		return array;
	}
	if (json_is_object(node) && filter->members != NULL)
		return project(arena, node, filter->members);
	if (filter->members == NULL && !json_is_object(node) && !json_is_array(node))
		return json_duplicate(arena, node);
	return json_new_null(arena);
}

static const struct json_filter *entry_of(const struct json_filter *members, const char *key)
{
	for (; members->key != NULL; members++)
		if (json_filter_is_wildcard(members)
		            ? strncmp(key, members->key, strlen(members->key) - 1) == 0 &&
		                      strlen(key) <= JSON_STREAM_KEY_MAX
		            : strcmp(key, members->key) == 0)
			return members;
	return NULL;
}

static json *project(struct arena *arena, const json *object, const struct json_filter *members)
{
	const char *name = NULL;
	json *result = json_new_object(arena);
	for (const json *n = json_first(object); n != NULL; n = json_next(n)) {
		const struct json_filter *entry = entry_of(members, json_key(n));
		if (entry == NULL || entry->each ||
		    (entry->only_in != NULL && (name == NULL || strcmp(name, entry->only_in) != 0)))
			continue;
		if (strcmp(entry->key, "name") == 0)
			name = json_string(n);
		json_add_member(arena, result, json_key(n), value_of(arena, n, entry, false));
	}
	return result;
}

/* ---- Both ---- */

/* Each piece is JSON, and the one that is expected where there is a tree to compare with. */
static void compare(struct arena *arena, const struct json_filter *filter, const json *tree,
                    struct result *result)
{
	char *text = result->pieces.data;
	const json *element =
	        filter == list ? json_first(json_is_array(json_get(tree, "c")) ? json_get(tree, "c")
	                                                                       : NULL)
	                       : NULL;
	for (char *end; text != NULL && (end = strchr(text, '\n')) != NULL; text = end + 1) {
		json *kept;
		require(json_parse(arena, text + 1, (size_t)(end - text - 1), 0, &kept, NULL) !=
		        JSON_INVALID);
		if (tree == NULL)
			continue;
		if (*text == 'o') {
			require(element == NULL);
			require(json_equal(kept, project(arena, tree, filter)));
			continue;
		}
		require(element != NULL);
		require(json_equal(kept, json_is_object(element) ? project(arena, element, inner)
		                                                 : json_new_null(arena)));
		element = json_next(element);
	}
}

static void check(const struct json_filter *filter, const char *text, size_t length, uint8_t cuts)
{
	struct result once;
	struct result pieces;
	struct arena *arena = arena_new((size_t)256 << 20);
	json *tree = NULL;
	run(filter, text, length, 0, &once);
	run(filter, text, length, cuts, &pieces);
	require(once.good == pieces.good && once.cut == pieces.cut);
	require(strcmp(buffer_text(&once.pieces), buffer_text(&pieces.pieces)) == 0);
	/* Of names and of keys that only begin so escapes are not read. */
	bool comparable = once.good && !once.cut && memchr(text, '\\', length) == NULL;
	if (!comparable || json_parse(arena, text, length, 0, &tree, NULL) != JSON_FAITHFUL)
		tree = NULL;
	compare(arena, filter, tree, &once);
	arena_free(arena);
	buffer_free(&once.pieces);
	buffer_free(&pieces.pieces);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2 || size > (size_t)64 * 1024)
		return 0;
	const char *text = (const char *)data + 1;
	check(whole, text, size - 1, data[0]);
	check(list, text, size - 1, data[0]);
	return 0;
}
