#include "observer/receiver/storm.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/buffer.h"
#include "lib/base/hash.h"
#include "lib/diagnosis/fingerprint.h"

static uint64_t add_text(uint64_t hash, const char *text)
{
	return text == NULL ? hash_add(hash, "", 1) : hash_add(hash, text, strlen(text) + 1);
}

/* 0 stands for none. */
static uint64_t key_of(const char *kind, const struct agent_exit *exit, const char *text)
{
	uint64_t hash = add_text(HASH_START, kind);
	hash = add_text(hash, exit->namespace);
	hash = add_text(hash, exit->container);
	hash = add_text(hash, text);
	return hash | 1;
}

struct storm_keys storm_keys_of(const struct agent_exit *exit)
{
	char storage[1024];
	struct buffer family;
	buffer_init_fixed(&family, storage, sizeof storage);
	fingerprint_family(exit->owner != NULL ? exit->owner : exit->pod, &family);
	return (struct storm_keys){
	        .fingerprint =
	                key_of("fingerprint", exit,
	                       exit->fingerprint != NULL ? exit->fingerprint : exit->error_type),
	        .family = key_of("family", exit, buffer_text(&family)),
	};
}

static struct storm_credit *place_of(const struct storm *storm, uint64_t key)
{
	return (struct storm_credit *)(uintptr_t)&storm->credits[hash_place(key, STORM_GROUPS)];
}

static int64_t allows_at(const struct storm *storm, uint64_t key, int burst)
{
	const struct storm_credit *credit = place_of(storm, key);
	return credit->key != key ? 0 : credit->paid_until - (burst - 1) * STORM_INTERVAL;
}

static void charge(struct storm *storm, uint64_t key, int64_t now)
{
	struct storm_credit *credit = place_of(storm, key);
	if (credit->key != key)
		*credit = (struct storm_credit){.key = key};
	credit->paid_until = (credit->paid_until > now ? credit->paid_until : now) + STORM_INTERVAL;
}

uint64_t storm_charge(struct storm *storm, const struct storm_keys *keys, int64_t now)
{
	if (allows_at(storm, keys->fingerprint, STORM_BURST) > now)
		return keys->fingerprint;
	if (allows_at(storm, keys->family, STORM_BURST_OF_FAMILY) > now)
		return keys->family;
	charge(storm, keys->fingerprint, now);
	charge(storm, keys->family, now);
	return 0;
}

void storm_charge_digest(struct storm *storm, const struct storm_keys *keys, int64_t now)
{
	charge(storm, keys->fingerprint, now);
	charge(storm, keys->family, now);
}

int64_t storm_allows_at(const struct storm *storm, const struct storm_keys *keys, uint64_t key)
{
	return allows_at(storm, key, key == keys->family ? STORM_BURST_OF_FAMILY : STORM_BURST);
}
