#include "cli/kube_list.h"

#include <string.h>

#include "lib/base/buffer.h"
#include "lib/http/url.h"

#define PAGE_MAX      ((size_t)64 * 1024 * 1024)
#define PAGE_ARENA    ((size_t)512 * 1024 * 1024)
#define PAGES_MAX     100000
#define CONTINUE_MAX  ((size_t)16 * 1024)
#define ATTEMPTS_MAX  3
#define PATH_SIZE_MAX ((size_t)64 * 1024)

static bool visit_items(const struct kube_list_visitor *visitor, struct arena *arena,
                        const json *root, struct error *error)
{
	for (json *n = json_first(json_get(root, "items")); n != NULL; n = json_next(n))
		if (!visitor->item(visitor->context, arena, n, error))
			return false;
	return true;
}

/* One page. token: in, the page to continue from; out, the next one, "" after the last. */
static bool visit_page(const struct kubectl *kubectl, const char *path,
                       const struct kube_list_visitor *visitor, struct buffer *token,
                       struct error *error)
{
	struct buffer _cleanup_buffer_ whole;
	struct arena *_cleanup_arena_ arena = arena_new(PAGE_ARENA);
	buffer_init(&whole, PATH_SIZE_MAX);
	buffer_append_text(&whole, path);
	if (token->length > 0) {
		buffer_append_text(&whole, "&continue=");
		url_escape(&whole, buffer_text(token));
	}
	if (arena == NULL || !buffer_ok(&whole))
		return error_set(error, "the label selector is too long, or no memory");
	const json *root = kubectl_get_json(kubectl, buffer_text(&whole), PAGE_MAX, arena, error);
	if (root == NULL)
		return false;
	if (!json_is_array(json_get(root, "items")))
		return error_set(error, "the response to %s: items is %s, expected an array",
		                 buffer_text(&whole), json_type_name(json_get(root, "items")));
	const json *metadata = json_get(root, "metadata");
	buffer_clear(token);
	buffer_append_text(token, json_get_string_or(metadata, "continue", ""));
	if (visitor->resource_version != NULL) {
		buffer_clear(visitor->resource_version);
		buffer_append_text(visitor->resource_version,
		                   json_get_string_or(metadata, "resourceVersion", ""));
	}
	if (!buffer_ok(token))
		return error_set(error, "the response to %s: metadata.continue is too long",
		                 buffer_text(&whole));
	return visit_items(visitor, arena, root, error);
}

bool kube_list_visit(const struct kubectl *kubectl, const char *path,
                     const struct kube_list_visitor *visitor, struct error *error)
{
	struct buffer _cleanup_buffer_ token;
	struct error why;
	int attempts = 1;
	buffer_init(&token, CONTINUE_MAX);
	for (int pages = 0; pages < PAGES_MAX; pages++) {
		bool loaded = visit_page(kubectl, path, visitor, &token, &why);
		if (loaded && token.length == 0)
			return true;
		if (loaded)
			continue;
		if (token.length == 0 || strstr(why.message, "(Expired)") == NULL ||
		    attempts++ == ATTEMPTS_MAX)
			return error_set(error, "%s", why.message);
		visitor->restart(visitor->context);
		buffer_clear(&token);
	}
	return error_set(error, "the list does not end after %d pages", PAGES_MAX);
}
