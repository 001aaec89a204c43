#include "lib/registry/credentials.h"

#include <string.h>

#include "lib/base/base64.h"
#include "lib/base/buffer.h"
#include "lib/base/files.h"

#define PAIR_MAX ((size_t)64 * 1024)
#define FILE_MAX ((size_t)4 * 1024 * 1024)

/* The host of a key of auths: "https://index.docker.io/v1/" is docker.io's. */
static bool is_registry(const char *key, const char *registry)
{
	const char *scheme = strstr(key, "://");
	const char *host = scheme == NULL ? key : scheme + 3;
	size_t length = strcspn(host, "/");
	if (length == strlen("index.docker.io") && strncmp(host, "index.docker.io", length) == 0)
		return strcmp(registry, "docker.io") == 0;
	return strlen(registry) == length && strncmp(host, registry, length) == 0;
}

static const json *find_entry(const json *object, const char *registry)
{
	for (const json *entry = json_first(object); entry != NULL; entry = json_next(entry))
		if (json_key(entry) != NULL && is_registry(json_key(entry), registry))
			return entry;
	return NULL;
}

/* "user:password" in base64. */
static bool read_pair(struct arena *arena, const char *auth, struct credentials *credentials,
                      struct error *error)
{
	struct buffer _cleanup_buffer_ pair;
	buffer_init_secret(&pair, PAIR_MAX);
	bool decoded = base64_decode(&pair, auth, strlen(auth)) && buffer_ok(&pair);
	const char *colon = decoded && pair.length > 0 ? memchr(pair.data, ':', pair.length) : NULL;
	if (colon == NULL || memchr(pair.data, '\0', pair.length) != NULL)
		return error_set(error, "auth: expected the base64 of user:password");
	size_t user = (size_t)(colon - pair.data);
	credentials->user = arena_copy(arena, pair.data, user);
	credentials->password = arena_copy(arena, colon + 1, pair.length - user - 1);
	if (credentials->user == NULL || credentials->password == NULL)
		return error_set(error, "no memory");
	return true;
}

static bool read_entry(struct arena *arena, const json *entry, struct credentials *credentials,
                       struct error *error)
{
	const char *auth = json_get_string_or(entry, "auth", "");
	const char *token = json_get_string_or(entry, "identitytoken", "");
	credentials->user = json_get_string(entry, "username");
	credentials->password = json_get_string_or(entry, "password", "");
	if (auth[0] != '\0' && !read_pair(arena, auth, credentials, error))
		return false;
	if (token[0] != '\0')
		credentials->identity_token = token;
	return true;
}

bool credentials_read(struct arena *arena, const char *text, size_t length, const char *registry,
                      struct credentials *ret_credentials, struct error *error)
{
	struct credentials credentials = {.user = NULL};
	json *root;
	if (json_parse(arena, text, length, 0, &root, error) != JSON_FAITHFUL)
		return false;
	if (!json_is_object(root))
		return error_set(error, "expected a JSON object, found %s", json_type_name(root));
	const json *helper = find_entry(json_get(root, "credHelpers"), registry);
	const json *entry = find_entry(json_get(root, "auths"), registry);
	const char *store =
	        helper != NULL ? json_string(helper) : json_get_string(root, "credsStore");
	/* With a store `docker login` leaves an empty entry behind. */
	if (store != NULL && store[0] != '\0' && (helper != NULL || json_size(entry) == 0) &&
	    (helper != NULL || entry != NULL))
		return error_set(
		        error,
		        "the credentials for %s are kept by docker-credential-%.60s, which "
		        "is not run: expected them in \"auths\"",
		        registry, store);
	if (entry != NULL && !read_entry(arena, entry, &credentials, error))
		return error_wrap(error, "auths, %s", registry);
	*ret_credentials = credentials;
	return true;
}

bool credentials_load(struct arena *arena, const char *path, const char *registry,
                      struct credentials *ret_credentials, struct error *error)
{
	struct buffer _cleanup_buffer_ text;
	buffer_init_secret(&text, FILE_MAX);
	if (!file_read(path, &text, error))
		return false;
	return credentials_read(arena, buffer_text(&text), text.length, registry, ret_credentials,
	                        error) ||
	       error_wrap(error, "%s", path);
}
