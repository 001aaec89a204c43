#include "lib/diagnosis/fingerprint.h"

#include <stdbool.h>
#include <string.h>

#include "lib/base/ascii.h"
#include "lib/base/buffer.h"
#include "lib/diagnosis/normalise.h"

/* The letters that Kubernetes makes up names of, in which no words come up. */
#define NAME_LETTERS "bcdfghjklmnpqrstvwxz"

/* Generated ends: ReplicaSet hashes and pod suffixes (NAME_LETTERS and digits), times. */
static bool is_generated(const char *part, size_t length)
{
	size_t digits = 0;
	for (size_t i = 0; i < length; i++) {
		if (ascii_is_digit(part[i]))
			digits++;
		else if (strchr(NAME_LETTERS, part[i]) == NULL)
			return length >= 8 && digits >= 2; /* hex or a UUID's part */
	}
	return digits == length || ((length == 5 || length >= 8) && length <= 12) ||
	       (length > 12 && digits >= 2);
}

void fingerprint_family(const char *owner, struct buffer *out)
{
	size_t length = owner == NULL ? 0 : strlen(owner);
	for (;;) {
		const char *dash = length == 0 ? NULL : memrchr(owner, '-', length);
		if (dash == NULL || dash == owner)
			break;
		size_t part = length - (size_t)(dash - owner) - 1;
		if (part > 0 && !is_generated(dash + 1, part))
			break;
		length = (size_t)(dash - owner);
	}
	buffer_append(out, owner, length);
}

#define HASH_START UINT64_C(14695981039346656037)

static uint64_t hash_text(uint64_t hash, const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		hash = (hash ^ (unsigned char)text[i]) * UINT64_C(1099511628211);
	/* A byte that no UTF-8 text has keeps the fields apart. */
	return (hash ^ 0xFF) * UINT64_C(1099511628211);
}

static void print_hash(uint64_t hash, char ret_fingerprint[FINGERPRINT_SIZE])
{
	for (size_t i = 0; i < FINGERPRINT_SIZE - 1; i++)
		ret_fingerprint[i] = "0123456789abcdef"[hash >> (60 - 4 * i) & 15];
	ret_fingerprint[FINGERPRINT_SIZE - 1] = '\0';
}

void fingerprint_of(const char *const *texts, size_t count, char ret_fingerprint[FINGERPRINT_SIZE])
{
	uint64_t hash = HASH_START;
	for (size_t i = 0; i < count; i++)
		hash = hash_text(hash, texts[i], texts[i] == NULL ? 0 : strlen(texts[i]));
	print_hash(hash, ret_fingerprint);
}

void fingerprint(const char *owner, const char *container, const char *cause, const char *statement,
                 size_t statement_length, char ret_fingerprint[FINGERPRINT_SIZE])
{
	char storage[1024];
	struct buffer text;
	uint64_t hash = HASH_START;
	buffer_init_fixed(&text, storage, sizeof storage);
	fingerprint_family(owner, &text);
	hash = hash_text(hash, buffer_text(&text), text.length);
	hash = hash_text(hash, container, container == NULL ? 0 : strlen(container));
	hash = hash_text(hash, cause, cause == NULL ? 0 : strlen(cause));
	buffer_clear(&text);
	if (statement_length >= sizeof storage)
		statement_length = sizeof storage - 1;
	normalise(statement, statement_length, &text);
	hash = hash_text(hash, buffer_text(&text), text.length);
	print_hash(hash, ret_fingerprint);
}
