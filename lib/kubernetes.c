#include "lib/kubernetes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buffer.h"
#include "lib/files.h"
#include "lib/http_client.h"
#include "lib/json.h"
#include "lib/kube_version.h"

#define TOKEN_MAX   ((size_t)64 * 1024)
#define VERSION_MAX ((size_t)64 * 1024)

bool kubernetes_in_cluster(void)
{
	return getenv("KUBERNETES_SERVICE_HOST") != NULL &&
	       getenv("KUBERNETES_SERVICE_PORT") != NULL;
}

/* gitVersion, such as "v1.36.2"; the field minor may be "36+". */
static bool read_version(const struct buffer *body, unsigned *ret_minor, struct error *error)
{
	struct arena *_cleanup_arena_ arena = arena_new(0);
	json *root;
	if (arena == NULL)
		return error_set(error, "no memory");
	if (json_parse(arena, buffer_text(body), body->length, 0, &root, error) != JSON_FAITHFUL)
		return error_wrap(error, "GET /version");
	const char *version = json_get_string_or(root, "gitVersion", "");
	return kube_version_parse(version, ret_minor, error) || error_wrap(error, "GET /version");
}

static bool ask(const char *account, struct buffer *body, struct error *error)
{
	char path[512];
	char url[512];
	const char *host = getenv("KUBERNETES_SERVICE_HOST");
	const char *port = getenv("KUBERNETES_SERVICE_PORT");
	if (host == NULL || port == NULL)
		return error_set(error, "not in a cluster: KUBERNETES_SERVICE_HOST is not set");
	snprintf(url, sizeof url,
	         strchr(host, ':') == NULL ? "https://%s:%s/version" : "https://[%s]:%s/version",
	         host, port);

	struct buffer _cleanup_buffer_ token;
	buffer_init(&token, TOKEN_MAX);
	snprintf(path, sizeof path, "%s/token", account);
	if (!file_read(path, &token, error))
		return false;
	buffer_truncate(&token, strcspn(buffer_text(&token), "\r\n"));

	snprintf(path, sizeof path, "%s/ca.crt", account);
	struct http_client *client = http_client_new(path);
	long status = 0;
	bool got = client == NULL ? error_set(error, "no memory for a client")
	                          : http_client_get(client, url, buffer_text(&token), &status, body,
	                                            error);
	http_client_free(client);
	if (got && status != 200)
		return error_set(error, "GET %s: expected status 200, got %ld", url, status);
	return got;
}

bool kubernetes_server_minor(const char *account, unsigned *ret_minor, struct error *error)
{
	struct buffer _cleanup_buffer_ body;
	buffer_init(&body, VERSION_MAX);
	return ask(account, &body, error) && read_version(&body, ret_minor, error);
}
