/* What a registry sends and what people write about one: references, challenges, manifests,
 * configurations, credentials. The first byte picks. */
#include <stdlib.h>
#include <string.h>

#include "lib/registry/challenge.h"
#include "lib/registry/credentials.h"
#include "lib/registry/image.h"
#include "lib/registry/reference.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was taken can be written into a URL: no character in it needs an escape. */
static void check_reference(const char *text)
{
	struct image_reference reference;
	if (!image_reference_parse(text, &reference, NULL))
		return;
	if (reference.path[0] == '\0' || strpbrk(reference.path, "?#%@: \\") != NULL ||
	    strstr(reference.path, "//") != NULL || strstr(reference.path, "..") != NULL ||
	    strpbrk(reference.host, "/?#%@ \\") != NULL ||
	    (reference.tag[0] == '\0' && reference.digest[0] == '\0'))
		abort();
}

static void check_challenge(const char *text)
{
	struct challenge challenge;
	if (challenge_parse(text, &challenge, NULL) && challenge.scheme == CHALLENGE_BEARER &&
	    strncmp(challenge.realm, "https://", 8) != 0)
		abort();
}

static void check_documents(struct arena *arena, const char *text, size_t length)
{
	struct image_manifest manifest;
	struct image_config config;
	struct credentials credentials;
	if (image_manifest_read(arena, text, length, &manifest, NULL)) {
		for (size_t i = 0; i < manifest.platform_count; i++)
			if (!image_digest_is_valid(manifest.platforms[i].digest))
				abort();
		if (manifest.config_digest != NULL &&
		    !image_digest_is_valid(manifest.config_digest))
			abort();
	}
	if (image_config_read(arena, text, length, &config, NULL) &&
	    !image_config_equal(&config, &config))
		abort();
	if (credentials_read(arena, text, length, "registry.example.com", &credentials, NULL) &&
	    credentials.user != NULL && credentials.password == NULL)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct arena *arena;
	if (size == 0)
		return 0;
	if (arena == NULL)
		arena = arena_new((size_t)64 * 1024 * 1024);
	char *text = malloc(size);
	if (text == NULL || arena == NULL)
		abort();
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	switch (data[0]) {
	case 'r':
		check_reference(text);
		break;
	case 'c':
		check_challenge(text);
		break;
	default:
		check_documents(arena, text, size - 1);
	}
	arena_reset(arena);
	free(text);
	return 0;
}
