#include "lib/registry/reference.h"

#include <string.h>

#include "lib/base/ascii.h"

#define HUB         "docker.io"
#define HUB_ALIAS   "index.docker.io"
#define HUB_HOST    "registry-1.docker.io"
#define HUB_PROJECT "library/"
#define DIGEST_TYPE "sha256:"

static bool is_name_character(char c)
{
	return ascii_is_digit(c) || ascii_is_lower(c);
}

/* Lower-case letters and digits, separated by one dot, one or two underscores, or dashes. */
static bool path_is_valid(const char *path)
{
	size_t i = 0;
	for (;;) {
		if (!is_name_character(path[i]))
			return false;
		while (is_name_character(path[i]))
			i++;
		if (path[i] == '\0')
			return true;
		if (path[i] == '/' || path[i] == '.') {
			i++;
		} else if (path[i] == '_') {
			i += path[i + 1] == '_' ? 2 : 1;
		} else if (path[i] == '-') {
			while (path[i] == '-')
				i++;
		} else {
			return false;
		}
	}
}

static bool host_is_valid(const char *host)
{
	bool bracket = host[0] == '[';
	for (size_t i = 0; host[i] != '\0'; i++) {
		char c = host[i];
		if (!ascii_is_alnum(c) && strchr(bracket ? ".-:[]" : ".-:", c) == NULL)
			return false;
	}
	return host[0] != '\0' && host[0] != '-' && host[0] != '.' && host[0] != ':';
}

static bool tag_is_valid(const char *tag)
{
	for (size_t i = 0; tag[i] != '\0'; i++)
		if (!ascii_is_alnum(tag[i]) && tag[i] != '_' &&
		    (i == 0 || strchr(".-", tag[i]) == NULL))
			return false;
	return tag[0] != '\0';
}

bool image_digest_is_valid(const char *text)
{
	size_t prefix = strlen(DIGEST_TYPE);
	return strncmp(text, DIGEST_TYPE, prefix) == 0 &&
	       strspn(text + prefix, "0123456789abcdef") == 64 && text[prefix + 64] == '\0';
}

/* Copies length bytes; false: they do not fit. */
static bool copy(char *to, size_t size, const char *from, size_t length)
{
	if (length >= size)
		return false;
	memcpy(to, from, length);
	to[length] = '\0';
	return true;
}

/* The first part of the name is a host. */
static bool names_host(const char *name, size_t length)
{
	return memchr(name, '.', length) != NULL || memchr(name, ':', length) != NULL ||
	       (length == strlen("localhost") && memcmp(name, "localhost", length) == 0);
}

static bool take_name(const char *name, size_t length, struct image_reference *reference)
{
	const char *slash = memchr(name, '/', length);
	size_t host = slash == NULL ? 0 : (size_t)(slash - name);
	if (slash != NULL && names_host(name, host)) {
		if (!copy(reference->registry, sizeof reference->registry, name, host) ||
		    !copy(reference->path, sizeof reference->path, slash + 1, length - host - 1))
			return false;
		if (strcmp(reference->registry, HUB_ALIAS) == 0)
			memcpy(reference->registry, HUB, sizeof HUB);
	} else {
		memcpy(reference->registry, HUB, sizeof HUB);
		if (!copy(reference->path, sizeof reference->path, name, length))
			return false;
	}
	if (strcmp(reference->registry, HUB) != 0) {
		memcpy(reference->host, reference->registry, sizeof reference->host);
		return true;
	}
	memcpy(reference->host, HUB_HOST, sizeof HUB_HOST);
	if (strchr(reference->path, '/') != NULL)
		return true;
	size_t used = strlen(reference->path);
	if (used + strlen(HUB_PROJECT) >= sizeof reference->path)
		return false;
	memmove(reference->path + strlen(HUB_PROJECT), reference->path, used + 1);
	memcpy(reference->path, HUB_PROJECT, strlen(HUB_PROJECT));
	return true;
}

bool image_reference_parse(const char *text, struct image_reference *ret_reference,
                           struct error *error)
{
	struct image_reference reference = {.tag = ""};
	size_t length = strlen(text);
	const char *at = strchr(text, '@');
	if (at != NULL) {
		if (!image_digest_is_valid(at + 1))
			return error_set(error,
			                 "%s: expected sha256: and 64 hexadecimal digits after @",
			                 text);
		memcpy(reference.digest, at + 1,
		       sizeof reference.digest); /* all of it: it is valid */
		length = (size_t)(at - text);
	}
	/* A colon behind the last slash begins the tag; one before it, a port. */
	size_t name = length;
	for (size_t i = length; i > 0 && text[i - 1] != '/'; i--)
		if (text[i - 1] == ':')
			name = i - 1;
	if (name < length &&
	    !copy(reference.tag, sizeof reference.tag, text + name + 1, length - name - 1))
		return error_set(error, "%s: expected a tag of at most %d characters", text,
		                 REFERENCE_TAG_SIZE - 1);
	if (name < length && !tag_is_valid(reference.tag))
		return error_set(error,
		                 "%s: \"%s\" is no tag: expected letters, digits, _, . and -", text,
		                 reference.tag);
	if (name == length && at == NULL)
		memcpy(reference.tag, "latest", sizeof "latest");
	if (!take_name(text, name, &reference))
		return error_set(error, "%s: expected a name of at most %d characters", text,
		                 REFERENCE_PATH_SIZE - 1);
	if (!host_is_valid(reference.host) || !path_is_valid(reference.path))
		return error_set(
		        error,
		        "%s: expected [HOST[:PORT]/]PATH[:TAG][@DIGEST], the path in lower case",
		        text);
	*ret_reference = reference;
	return true;
}
