#include "observer/pod/pod_cache.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/utf8.h"
#include "observer/evidence/log_follower.h"

#define BUCKETS_FIRST 1024

bool live_init(struct live *live)
{
	*live = (struct live){.bucket_count = BUCKETS_FIRST};
	live->buckets = calloc(live->bucket_count, sizeof(struct live_pod *));
	if (live->buckets == NULL)
		live->bucket_count = 0;
	return live->buckets != NULL;
}

void live_release(struct live_pod *pod)
{
	if (pod == NULL || --pod->users > 0)
		return;
	for (size_t i = 0; i < pod->agent_count; i++)
		free(pod->agents[i].never);
	follow_free(pod->follow);
	free(pod->facts);
	free(pod);
}

void live_free(struct live *live)
{
	for (size_t i = 0; live->buckets != NULL && i < live->bucket_count; i++) {
		for (struct live_pod *pod = live->buckets[i]; pod != NULL;) {
			struct live_pod *next = pod->next;
			live_release(pod);
			pod = next;
		}
	}
	free(live->buckets);
	*live = (struct live){.buckets = NULL};
}

/* Uids are random already; FNV-1a brings them into a number. */
static size_t bucket_of(const struct live *live, const char *uid)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);
	for (; *uid != '\0'; uid++)
		hash = (hash ^ (unsigned char)*uid) * UINT64_C(0x100000001b3);
	return (size_t)(hash ^ hash >> 32) & (live->bucket_count - 1);
}

struct live_pod *live_find(const struct live *live, const char *uid)
{
	struct live_pod *pod = live->buckets[bucket_of(live, uid)];
	while (pod != NULL && strcmp(pod->facts->uid, uid) != 0)
		pod = pod->next;
	return pod;
}

/* Without memory the chains just become longer. */
static void grow(struct live *live)
{
	struct live_pod **old_buckets = live->buckets;
	size_t old_count = live->bucket_count;
	struct live_pod **buckets = calloc(old_count * 2, sizeof(struct live_pod *));
	if (buckets == NULL)
		return;
	live->buckets = buckets;
	live->bucket_count = old_count * 2;
	for (size_t i = 0; i < old_count; i++) {
		for (struct live_pod *pod = old_buckets[i]; pod != NULL;) {
			struct live_pod *next = pod->next;
			struct live_pod **bucket = &buckets[bucket_of(live, pod->facts->uid)];
			pod->next = *bucket;
			*bucket = pod;
			pod = next;
		}
	}
	free(old_buckets);
}

static struct end *copy_facts(const struct end *facts)
{
	struct end bare = *facts;
	bare.message = NULL;
	return end_copy(&bare, LIVE_CONTEXT_MAX);
}

void live_set_facts(struct live_pod *pod, const struct end *facts)
{
	struct end *copy = copy_facts(facts);
	if (copy == NULL)
		return;
	free(pod->facts);
	pod->facts = copy;
}

struct live_pod *live_add(struct live *live, const struct end *facts, size_t count)
{
	struct live_pod *pod = calloc(1, sizeof *pod + count * sizeof pod->agents[0]);
	if (pod == NULL || (pod->facts = copy_facts(facts)) == NULL) {
		free(pod);
		return NULL;
	}
	if (live->count >= live->bucket_count)
		grow(live);
	pod->users = 1;
	pod->lost_at = INT64_MAX;
	pod->agent_count = count;
	for (size_t i = 0; i < count; i++)
		pod->agents[i] = (struct live_agent){.handled = -1, .running = -1};
	struct live_pod **bucket = &live->buckets[bucket_of(live, facts->uid)];
	pod->next = *bucket;
	*bucket = pod;
	live->count++;
	return pod;
}

static void unlink_pod(struct live *live, struct live_pod **link)
{
	struct live_pod *pod = *link;
	*link = pod->next;
	pod->next = NULL;
	live->count--;
}

void live_remove(struct live *live, struct live_pod *pod)
{
	struct live_pod **link = &live->buckets[bucket_of(live, pod->facts->uid)];
	while (*link != NULL && *link != pod)
		link = &(*link)->next;
	if (*link == NULL)
		return;
	unlink_pod(live, link);
	live_release(pod);
}

struct live_agent *live_agent(struct live_pod *pod, const char *name)
{
	for (size_t i = 0; i < pod->agent_count; i++)
		if (strcmp(pod->agents[i].name, name) == 0)
			return &pod->agents[i];
	return NULL;
}

struct end live_unseen(const struct live_pod *pod, const struct live_agent *agent)
{
	struct end end = *pod->facts;
	end.kind = END_UNSEEN;
	end.container = agent->name;
	end.run = agent->running;
	end.started_at = agent->started_at;
	end.watched = agent->watched;
	return end;
}

void live_set_never(struct live_pod *pod, struct live_agent *agent, const struct end *never)
{
	free(agent->never);
	agent->never = NULL;
	if (never == NULL)
		return;
	const char *reason = never->reason == NULL ? "" : never->reason;
	const char *message = never->message == NULL ? "" : never->message;
	size_t reason_length = strnlen(reason, LIVE_REASON_MAX);
	size_t message_length =
	        utf8_valid_prefix(message, strnlen(message, LIVE_MESSAGE_MAX / pod->agent_count));
	struct live_never *own = calloc(1, sizeof *own + reason_length + message_length + 2);
	if (own == NULL)
		return;
	*own = (struct live_never){
	        .run = never->run,
	        .final = never->final,
	        .failing = never->failing,
	        .others_run = never->others_run,
	        .told_to_terminate = never->told_to_terminate,
	        .has_reason = never->reason != NULL,
	        .has_message = never->message != NULL,
	};
	memcpy(own->texts, reason, reason_length);
	memcpy(own->texts + reason_length + 1, message, message_length);
	agent->never = own;
}

struct end live_never(const struct live_pod *pod, const struct live_agent *agent)
{
	const struct live_never *never = agent->never;
	struct end end = *pod->facts;
	end.kind = END_NEVER_STARTED;
	end.container = agent->name;
	end.reason = never->has_reason ? never->texts : NULL;
	end.message = never->has_message ? never->texts + strlen(never->texts) + 1 : NULL;
	end.run = never->run;
	end.final = never->final;
	end.failing = never->failing;
	end.others_run = never->others_run;
	end.told_to_terminate = never->told_to_terminate;
	end.watched = agent->watched;
	return end;
}

void live_sweep(struct live *live, uint64_t list, void (*gone)(void *context, struct live_pod *pod),
                void *context)
{
	for (size_t i = 0; i < live->bucket_count; i++) {
		for (struct live_pod **link = &live->buckets[i]; *link != NULL;) {
			struct live_pod *pod = *link;
			if (pod->list == list) {
				link = &pod->next;
				continue;
			}
			unlink_pod(live, link);
			gone(context, pod);
			live_release(pod);
		}
	}
}
