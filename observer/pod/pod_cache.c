#include "observer/pod/pod_cache.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/hash.h"
#include "lib/base/utf8.h"

#define BUCKETS_FIRST 1024

bool pod_cache_init(struct pod_cache *cache)
{
	*cache = (struct pod_cache){.bucket_count = BUCKETS_FIRST};
	cache->buckets = calloc(cache->bucket_count, sizeof(struct cached_pod *));
	if (cache->buckets == NULL)
		cache->bucket_count = 0;
	return cache->buckets != NULL;
}

/* ---- Logs ---- */

static void drop_log(struct cached_agent *agent)
{
	if (agent->log == NULL)
		return;
	fair_share_give_back(agent->log->share, agent->log->holder, agent->log->length);
	fair_share_release(agent->log->share, agent->log->holder);
	free(agent->log->bytes);
	free(agent->log);
	agent->log = NULL;
}

void cached_agent_keep_log(struct cached_agent *agent, const struct cached_log *log)
{
	struct cached_log *copy = malloc(sizeof *copy);
	if (copy == NULL) {
		fair_share_release(log->share, log->holder);
		free(log->bytes);
		return;
	}
	drop_log(agent);
	*copy = *log;
	fair_share_take(copy->share, copy->holder, copy->length);
	agent->log = copy;
}

bool cached_agent_take_log(struct cached_agent *agent, struct cached_log *ret_log)
{
	if (agent->log == NULL)
		return false;
	*ret_log = *agent->log;
	agent->log->bytes = NULL;
	drop_log(agent);
	return true;
}

/* ---- Pods ---- */

void cached_pod_release(struct cached_pod *pod)
{
	if (pod == NULL || --pod->users > 0)
		return;
	for (size_t i = 0; i < pod->agent_count; i++) {
		free(pod->agents[i].never_started);
		drop_log(&pod->agents[i]);
		free(pod->agents[i].silence);
	}
	free(pod->facts);
	free(pod);
}

void pod_cache_free(struct pod_cache *cache)
{
	for (size_t i = 0; cache->buckets != NULL && i < cache->bucket_count; i++) {
		for (struct cached_pod *pod = cache->buckets[i]; pod != NULL;) {
			struct cached_pod *next = pod->next;
			cached_pod_release(pod);
			pod = next;
		}
	}
	free(cache->buckets);
	*cache = (struct pod_cache){.buckets = NULL};
}

static size_t bucket_of(const struct pod_cache *cache, const char *uid)
{
	return hash_fold(hash_text(uid)) & (cache->bucket_count - 1);
}

struct cached_pod *pod_cache_find(const struct pod_cache *cache, const char *uid)
{
	struct cached_pod *pod = cache->buckets[bucket_of(cache, uid)];
	while (pod != NULL && strcmp(pod->facts->uid, uid) != 0)
		pod = pod->next;
	return pod;
}

/* Without memory the chains only become longer. */
static void grow(struct pod_cache *cache)
{
	struct cached_pod **old_buckets = cache->buckets;
	size_t old_count = cache->bucket_count;
	struct cached_pod **buckets = calloc(old_count * 2, sizeof(struct cached_pod *));
	if (buckets == NULL)
		return;
	cache->buckets = buckets;
	cache->bucket_count = old_count * 2;
	for (size_t i = 0; i < old_count; i++) {
		for (struct cached_pod *pod = old_buckets[i]; pod != NULL;) {
			struct cached_pod *next = pod->next;
			struct cached_pod **bucket = &buckets[bucket_of(cache, pod->facts->uid)];
			pod->next = *bucket;
			*bucket = pod;
			pod = next;
		}
	}
	free(old_buckets);
}

static struct termination *copy_facts(const struct termination *facts)
{
	struct termination bare = *facts;
	bare.message = NULL;
	return termination_copy(&bare, CACHED_CONTEXT_MAX);
}

void cached_pod_set_facts(struct cached_pod *pod, const struct termination *facts)
{
	struct termination *copy = copy_facts(facts);
	if (copy == NULL)
		return;
	free(pod->facts);
	pod->facts = copy;
}

struct cached_pod *pod_cache_add(struct pod_cache *cache, const struct termination *facts,
                                 size_t count)
{
	struct cached_pod *pod = calloc(1, sizeof *pod + count * sizeof pod->agents[0]);
	if (pod == NULL || (pod->facts = copy_facts(facts)) == NULL) {
		free(pod);
		return NULL;
	}
	if (cache->count >= cache->bucket_count)
		grow(cache);
	pod->users = 1;
	pod->lost_at = INT64_MAX;
	pod->agent_count = (uint16_t)count;
	for (size_t i = 0; i < count; i++)
		pod->agents[i] = (struct cached_agent){.handled = -1, .running = -1};
	struct cached_pod **bucket = &cache->buckets[bucket_of(cache, facts->uid)];
	pod->next = *bucket;
	*bucket = pod;
	cache->count++;
	return pod;
}

static void unlink_pod(struct pod_cache *cache, struct cached_pod **link)
{
	struct cached_pod *pod = *link;
	*link = pod->next;
	pod->next = NULL;
	cache->count--;
}

void pod_cache_remove(struct pod_cache *cache, struct cached_pod *pod)
{
	struct cached_pod **link = &cache->buckets[bucket_of(cache, pod->facts->uid)];
	while (*link != NULL && *link != pod)
		link = &(*link)->next;
	if (*link == NULL)
		return;
	unlink_pod(cache, link);
	cached_pod_release(pod);
}

struct cached_agent *cached_pod_find_agent(struct cached_pod *pod, const char *name)
{
	for (size_t i = 0; i < pod->agent_count; i++)
		if (strcmp(pod->agents[i].name, name) == 0)
			return &pod->agents[i];
	return NULL;
}

struct termination cached_pod_unobserved(const struct cached_pod *pod,
                                         const struct cached_agent *agent)
{
	struct termination termination = *pod->facts;
	termination.kind = TERMINATION_UNOBSERVED;
	termination.container = agent->name;
	termination.restart_count = agent->running;
	termination.started_at = agent->started_at;
	termination.watched = agent->watched;
	return termination;
}

void cached_pod_set_never_started(struct cached_pod *pod, struct cached_agent *agent,
                                  const struct termination *never_started)
{
	free(agent->never_started);
	agent->never_started = NULL;
	if (never_started == NULL)
		return;
	const char *reason = never_started->reason == NULL ? "" : never_started->reason;
	const char *message = never_started->message == NULL ? "" : never_started->message;
	size_t reason_length = strnlen(reason, CACHED_REASON_MAX);
	size_t message_length =
	        utf8_valid_prefix(message, strnlen(message, CACHED_MESSAGE_MAX / pod->agent_count));
	struct cached_never_started *own =
	        calloc(1, sizeof *own + reason_length + message_length + 2);
	if (own == NULL)
		return;
	*own = (struct cached_never_started){
	        .restart_count = (int32_t)never_started->restart_count,
	        .final = never_started->final,
	        .failing = never_started->failing,
	        .deletion_requested = never_started->deletion_requested,
	        .has_reason = never_started->reason != NULL,
	        .has_message = never_started->message != NULL,
	};
	memcpy(own->texts, reason, reason_length);
	memcpy(own->texts + reason_length + 1, message, message_length);
	agent->never_started = own;
}

struct termination cached_pod_never_started(const struct cached_pod *pod,
                                            const struct cached_agent *agent)
{
	const struct cached_never_started *never_started = agent->never_started;
	struct termination termination = *pod->facts;
	termination.kind = TERMINATION_NEVER_STARTED;
	termination.container = agent->name;
	termination.reason = never_started->has_reason ? never_started->texts : NULL;
	termination.message = never_started->has_message
	                              ? never_started->texts + strlen(never_started->texts) + 1
	                              : NULL;
	termination.restart_count = never_started->restart_count;
	termination.final = never_started->final;
	termination.failing = never_started->failing;
	termination.deletion_requested = never_started->deletion_requested;
	termination.watched = agent->watched;
	return termination;
}

void pod_cache_sweep(struct pod_cache *cache, uint32_t list,
                     void (*gone)(void *context, struct cached_pod *pod), void *context)
{
	for (size_t i = 0; i < cache->bucket_count; i++) {
		for (struct cached_pod **link = &cache->buckets[i]; *link != NULL;) {
			struct cached_pod *pod = *link;
			if (pod->list == list) {
				link = &pod->next;
				continue;
			}
			unlink_pod(cache, link);
			gone(context, pod);
			cached_pod_release(pod);
		}
	}
}
