/* Any bytes as a template of -o jsonpath: it is refused with a column, or prints something of a
 * record in bounded memory; compiled twice it prints the same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cli/jsonpath.h"
#include "lib/base/buffer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char object[] =
        "{\"kind\":\"AgentExitList\",\"items\":[{\"metadata\":{\"name\":\"a\",\"labels\":{\"x.y/"
        "z\":\"1\"}},\"spec\":{\"pod\":\"a\",\"exitCode\":101,\"final\":true,\"running\":[\"b\","
        "\"c\",\"d\"],\"text\":\"one\\ntwo\",\"none\":null}},{\"metadata\":{\"name\":\"b\"},"
        "\"spec\":{\"pod\":\"b\",\"exitCode\":1.5,\"running\":[]}}]}";

static bool print(const char *template, struct buffer *out, struct error *error)
{
	struct jsonpath path;
	json *root;
	struct arena *_cleanup_arena_ arena = arena_new((size_t)1024 * 1024);
	if (arena == NULL || json_parse(arena, object, sizeof object - 1, JSON_KEEP_NUMBERS, &root,
	                                NULL) != JSON_FAITHFUL)
		abort();
	error_set(error, "%s", "");
	return jsonpath_compile(arena, template, &path, error) &&
	       jsonpath_print(&path, root, arena, out, error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buffer _cleanup_buffer_ first;
	struct buffer _cleanup_buffer_ second;
	struct error error;
	buffer_init(&first, (size_t)1024 * 1024);
	buffer_init(&second, (size_t)1024 * 1024);
	char *template = strndup((const char *)data, size);
	if (template == NULL)
		return 0;
	bool good = print(template, &first, &error);
	if (!good && strncmp(error.message, "-o jsonpath: ", 13) != 0)
		abort();
	if (print(template, &second, &error) != good || first.length != second.length ||
	    strcmp(buffer_text(&first), buffer_text(&second)) != 0)
		abort();
	free(template);
	return 0;
}
