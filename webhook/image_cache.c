#include "webhook/image_cache.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/base/hash.h"
#include "lib/base/clock.h"
#include "lib/registry/reference.h"

#define BUCKETS        1024
#define NAMESPACE_SIZE 64

enum state { STATE_WANTED, STATE_TAKEN, STATE_KNOWN, STATE_FAILED };

struct entry {
	struct entry *next; /* of the bucket */
	char image[IMAGE_NAME_SIZE];
	char namespace[NAMESPACE_SIZE]; /* who asked first */
	enum state state;
	uint64_t requested;   /* when: the number of the question */
	bool requested_again; /* since it failed */
	int64_t retry;        /* the last wait after a failure; 0: none */
	int64_t not_before;   /* of STATE_FAILED */
	size_t entrypoint_count;
	size_t cmd_count;
	char *texts; /* of STATE_KNOWN: all texts, each with its NUL */
	size_t texts_length;
};

struct image_cache {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool pending; /* there may be something to take, or somebody wakes */
	struct entry *buckets[BUCKETS];
	size_t count;
	uint64_t requests;
};

struct image_cache *image_cache_new(void)
{
	struct image_cache *cache = calloc(1, sizeof *cache);
	if (cache == NULL)
		return NULL;
	pthread_condattr_t attributes;
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&cache->changed, &attributes);
	pthread_condattr_destroy(&attributes);
	pthread_mutex_init(&cache->lock, NULL);
	return cache;
}

static void entry_free(struct entry *entry)
{
	free(entry->texts);
	free(entry);
}

void image_cache_free(struct image_cache *cache)
{
	if (cache == NULL)
		return;
	for (size_t i = 0; i < BUCKETS; i++) {
		struct entry *next;
		for (struct entry *entry = cache->buckets[i]; entry != NULL; entry = next) {
			next = entry->next;
			entry_free(entry);
		}
	}
	pthread_cond_destroy(&cache->changed);
	pthread_mutex_destroy(&cache->lock);
	free(cache);
}

bool image_cache_takes(const char *image)
{
	const char *at = strchr(image, '@');
	return at != NULL && image_digest_is_valid(at + 1) && strlen(image) < IMAGE_NAME_SIZE;
}

/* ---- The table; the lock is held ---- */

static struct entry **bucket_of(struct image_cache *cache, const char *image)
{
	return &cache->buckets[hash_place(hash_text(image), BUCKETS)];
}

static struct entry *lookup(struct image_cache *cache, const char *image)
{
	struct entry *entry = *bucket_of(cache, image);
	while (entry != NULL && strcmp(entry->image, image) != 0)
		entry = entry->next;
	return entry;
}

static void drop(struct image_cache *cache, struct entry *entry)
{
	struct entry **link = bucket_of(cache, entry->image);
	while (*link != entry)
		link = &(*link)->next;
	*link = entry->next;
	entry_free(entry);
	cache->count--;
}

/* Of the namespace (NULL: of all), how many there are, and the one asked for longest ago. */
static struct entry *oldest(const struct image_cache *cache, const char *namespace,
                            size_t *ret_count)
{
	struct entry *found = NULL;
	*ret_count = 0;
	for (size_t i = 0; i < BUCKETS; i++) {
		for (struct entry *entry = cache->buckets[i]; entry != NULL; entry = entry->next) {
			if (namespace != NULL && strcmp(entry->namespace, namespace) != 0)
				continue;
			++*ret_count;
			if (entry->state != STATE_TAKEN &&
			    (found == NULL || entry->requested < found->requested))
				found = entry;
		}
	}
	return found;
}

/* There is room for one more of the namespace's. */
static bool make_room(struct image_cache *cache, const char *namespace)
{
	size_t count;
	struct entry *own = oldest(cache, namespace, &count);
	if (count >= IMAGE_CACHE_SHARE) {
		if (own == NULL)
			return false;
		drop(cache, own);
	}
	if (cache->count < IMAGE_CACHE_MAX)
		return true;
	struct entry *any = oldest(cache, NULL, &count);
	if (any != NULL)
		drop(cache, any);
	return cache->count < IMAGE_CACHE_MAX;
}

static void signal_change(struct image_cache *cache)
{
	cache->pending = true;
	pthread_cond_signal(&cache->changed);
}

static void add(struct image_cache *cache, const char *namespace, const char *image)
{
	char owner[NAMESPACE_SIZE];
	snprintf(owner, sizeof owner, "%s", namespace);
	if (!image_cache_takes(image) || !make_room(cache, owner))
		return;
	struct entry *entry = calloc(1, sizeof *entry);
	if (entry == NULL)
		return;
	snprintf(entry->image, sizeof entry->image, "%s", image);
	snprintf(entry->namespace, sizeof entry->namespace, "%s", owner);
	entry->state = STATE_WANTED;
	entry->requested = cache->requests;
	struct entry **bucket = bucket_of(cache, image);
	entry->next = *bucket;
	*bucket = entry;
	cache->count++;
	signal_change(cache);
}

/* ---- Questions and their answers ---- */

static bool copy_texts(struct arena *arena, const char **at, size_t count, struct strings *ret_list)
{
	struct strings list = {.items = arena_allocate(arena, (count + 1) * sizeof(char *))};
	if (list.items == NULL)
		return false;
	for (; list.count < count; list.count++) {
		list.items[list.count] = *at;
		*at += strlen(*at) + 1;
	}
	*ret_list = list;
	return true;
}

static bool copy_command(const struct entry *entry, struct arena *arena,
                         struct strings *ret_entrypoint, struct strings *ret_cmd)
{
	struct strings entrypoint;
	const char *at = arena_copy(arena, entry->texts, entry->texts_length);
	if (at == NULL || !copy_texts(arena, &at, entry->entrypoint_count, &entrypoint) ||
	    !copy_texts(arena, &at, entry->cmd_count, ret_cmd))
		return false;
	*ret_entrypoint = entrypoint;
	return true;
}

bool image_cache_find(struct image_cache *cache, struct arena *arena, const char *namespace,
                      const char *image, struct strings *ret_entrypoint, struct strings *ret_cmd)
{
	pthread_mutex_lock(&cache->lock);
	cache->requests++;
	struct entry *entry = lookup(cache, image);
	bool known = entry != NULL && entry->state == STATE_KNOWN &&
	             copy_command(entry, arena, ret_entrypoint, ret_cmd);
	if (entry == NULL) {
		add(cache, namespace, image);
	} else {
		entry->requested = cache->requests;
		if (entry->state == STATE_FAILED && !entry->requested_again) {
			entry->requested_again = true;
			signal_change(cache);
		}
	}
	pthread_mutex_unlock(&cache->lock);
	return known;
}

/* May be taken from that moment on; INT64_MAX: not. */
static int64_t due(const struct entry *entry)
{
	if (entry->state == STATE_WANTED)
		return 0;
	return entry->state == STATE_FAILED && entry->requested_again ? entry->not_before
	                                                              : INT64_MAX;
}

bool image_cache_take(struct image_cache *cache, int64_t now, char ret_image[IMAGE_NAME_SIZE],
                      int64_t *ret_next)
{
	struct entry *found = NULL;
	int64_t next = INT64_MAX;
	pthread_mutex_lock(&cache->lock);
	for (size_t i = 0; i < BUCKETS; i++) {
		for (struct entry *entry = cache->buckets[i]; entry != NULL; entry = entry->next) {
			int64_t when = due(entry);
			next = when < next ? when : next;
			if (when <= now && (found == NULL || entry->requested < found->requested))
				found = entry;
		}
	}
	if (found != NULL) {
		found->state = STATE_TAKEN;
		snprintf(ret_image, IMAGE_NAME_SIZE, "%s", found->image);
	}
	pthread_mutex_unlock(&cache->lock);
	*ret_next = next;
	return found != NULL;
}

static size_t texts_length(const struct strings *list)
{
	size_t length = 0;
	for (size_t i = 0; i < list->count && length <= IMAGE_COMMAND_MAX; i++)
		length += strlen(list->items[i]) + 1;
	return length;
}

static char *append_texts(char *to, const struct strings *list)
{
	for (size_t i = 0; i < list->count; i++) {
		size_t size = strlen(list->items[i]) + 1;
		memcpy(to, list->items[i], size);
		to += size;
	}
	return to;
}

bool image_cache_put(struct image_cache *cache, const char *image, const struct strings *entrypoint,
                     const struct strings *cmd)
{
	size_t length = texts_length(entrypoint) + texts_length(cmd);
	char *texts = length > IMAGE_COMMAND_MAX ? NULL : malloc(length + 1);
	if (texts == NULL)
		return false;
	append_texts(append_texts(texts, entrypoint), cmd);
	pthread_mutex_lock(&cache->lock);
	struct entry *entry = lookup(cache, image);
	if (entry != NULL && entry->state == STATE_TAKEN) {
		entry->state = STATE_KNOWN;
		entry->texts = texts;
		entry->texts_length = length;
		entry->entrypoint_count = entrypoint->count;
		entry->cmd_count = cmd->count;
		texts = NULL;
	}
	pthread_mutex_unlock(&cache->lock);
	free(texts);
	return true;
}

void image_cache_fail(struct image_cache *cache, const char *image, int64_t now)
{
	pthread_mutex_lock(&cache->lock);
	struct entry *entry = lookup(cache, image);
	if (entry != NULL && entry->state == STATE_TAKEN) {
		entry->state = STATE_FAILED;
		entry->requested_again = false;
		entry->retry = entry->retry == 0                    ? IMAGE_RETRY_FIRST
		               : entry->retry < IMAGE_RETRY_MAX / 2 ? entry->retry * 2
		                                                    : IMAGE_RETRY_MAX;
		entry->not_before = now + entry->retry;
	}
	pthread_mutex_unlock(&cache->lock);
}

/* ---- Waiting ---- */

void image_cache_wait(struct image_cache *cache, int64_t until)
{
	struct timespec moment = {.tv_sec = until / SECOND, .tv_nsec = until % SECOND};
	pthread_mutex_lock(&cache->lock);
	if (!cache->pending && until != INT64_MAX)
		pthread_cond_timedwait(&cache->changed, &cache->lock, &moment);
	else if (!cache->pending)
		pthread_cond_wait(&cache->changed, &cache->lock);
	cache->pending = false;
	pthread_mutex_unlock(&cache->lock);
}

void image_cache_wake(struct image_cache *cache)
{
	pthread_mutex_lock(&cache->lock);
	signal_change(cache);
	pthread_mutex_unlock(&cache->lock);
}
