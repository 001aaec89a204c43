/* json_parse() against cJSON's own parser: what ours takes, cJSON takes and makes the same tree of;
 * the tree's links are as cJSON's functions want them; and printed and parsed again it is the same.
 */
#include <cjson/cJSON.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/buffer.h"
#include "lib/document/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool good)
{
	if (!good)
		abort();
}

static bool same_text(const char *a, const char *b)
{
	return (a == NULL) == (b == NULL) && (a == NULL || strcmp(a, b) == 0);
}

/* Node for node, in the order of the text; iterative, since the fuzzer likes depth. */
static void compare(const cJSON *ours, const cJSON *theirs)
{
	static const cJSON *parents[2][JSON_DEPTH_MAX + 1];
	size_t depth = 0;
	for (;;) {
		require((ours->type & 0xff) == (theirs->type & 0xff));
		require(same_text(ours->string, theirs->string));
		if (cJSON_IsString(ours))
			require(same_text(ours->valuestring, theirs->valuestring));
		if (cJSON_IsNumber(ours))
			require(memcmp(&ours->valuedouble, &theirs->valuedouble, sizeof(double)) ==
			                0 ||
			        ours->valuedouble == theirs->valuedouble);
		require((ours->child == NULL) == (theirs->child == NULL));
		require((ours->next == NULL) == (theirs->next == NULL));
		require(ours->next == NULL || ours->next->prev == ours);
		if (ours->child != NULL) {
			require(ours->child->prev != NULL && ours->child->prev->next == NULL);
			parents[0][depth] = ours;
			parents[1][depth++] = theirs;
			ours = ours->child;
			theirs = theirs->child;
			continue;
		}
		while (depth > 0 && ours->next == NULL) {
			ours = parents[0][--depth];
			theirs = parents[1][depth];
			require((ours->next == NULL) == (theirs->next == NULL));
		}
		if (depth == 0)
			return;
		ours = ours->next;
		theirs = theirs->next;
	}
}

/* Printed with its numbers' own text, and parsed again. */
static void reparse(const json *root)
{
	struct arena *arena = arena_new((size_t)64 << 20);
	struct buffer once;
	struct buffer twice;
	json *again = NULL;
	buffer_init(&once, (size_t)64 << 20);
	buffer_init(&twice, (size_t)64 << 20);
	json_print(&once, root, 0);
	require(json_parse(arena, buffer_text(&once), once.length, JSON_KEEP_NUMBERS, &again,
	                   NULL) == JSON_FAITHFUL);
	json_print(&twice, again, 0);
	require(buffer_ok(&twice) && once.length == twice.length &&
	        memcmp(buffer_text(&once), buffer_text(&twice), once.length) == 0);
	buffer_free(&once);
	buffer_free(&twice);
	arena_free(arena);
}

/* Its allocator is the arena's hooks, which have nothing outside of the library. */
static cJSON *parse_with_cjson(const char *text, size_t size)
{
	cJSON_InitHooks(NULL);
	/* It knows a byte order mark only before a longer text. */
	if (size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		return cJSON_ParseWithLength(text + 3, size - 3);
	return cJSON_ParseWithLength(text, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *arena = arena_new((size_t)64 << 20);
	struct error error = {""};
	json *root = NULL;
	/* Of its own size: reading beyond it is seen. */
	char *text = malloc(size + 1);
	require(arena != NULL && text != NULL);
	if (size > 0)
		memcpy(text, data, size);
	text = realloc(text, size == 0 ? 1 : size);
	enum json_fidelity fidelity = json_parse(arena, text, size, 0, &root, &error);
	require((fidelity == JSON_FAITHFUL) == (error.message[0] == '\0'));
	if (fidelity == JSON_FAITHFUL) {
		json *kept = NULL;
		require(json_parse(arena, text, size, JSON_KEEP_NUMBERS, &kept, NULL) ==
		        JSON_FAITHFUL);
		reparse(kept);
		cJSON *theirs = parse_with_cjson(text, size);
		require(theirs != NULL);
		compare((const cJSON *)root, theirs);
		cJSON_Delete(theirs);
	}
	free(text);
	arena_free(arena);
	return 0;
}
