/*
 * breaker_state: the state of the breaker, as a ConfigMap of lastword's own namespace has it. The
 * observer and an administrator (lastword breaker) write it, the webhooks read it: in a namespace
 * whose breaker is open no container is wrapped. Pure but for memory.
 *
 * The ConfigMap has one key, BREAKER_KEY, and in it one JSON object (docs/guards.md):
 *   {"version":1,"namespaces":{"agents":{"state":"open","since":"2026-11-28T18:37:19Z",
 *    "until":"2026-11-28T19:07:19Z","reason":"image","message":"…","pod":"job-x","trial":"…"}}}
 * A document of another version is refused, since nobody knows what it means; unknown members of an
 * entry are ignored.
 *
 * States of a namespace, and what leads from one to the other:
 *   (none)     as CLOSED, and nothing is remembered
 *   OPEN       no pod is wrapped until the time `until`, when the observer makes it HALF_OPEN; if
 *              `until` is 0, until somebody closes it
 *   HALF_OPEN  each webhook lets one pod through, the trial, which remembers `since`; as soon as
 *              the observer has seen a trial, `trial` names it, and no other one is let through
 *   CLOSED     pods are wrapped; pods that are older than `since` do not count any more. The
 *              observer deletes the entry after a while
 *
 * Invariants:
 *  - Namespaces are unique, and valid names (RFC 1123 labels); entries are sorted by them.
 *  - At most BREAKER_ENTRIES_MAX entries. A new one displaces the oldest CLOSED one; where none is
 *    CLOSED there is no room.
 *  - Times are whole microseconds since 1970 (kept in nanoseconds), so that they survive writing:
 *    `since` identifies a trial.
 *
 * Ownership: a state owns its entries; breaker_state_free(). Not thread-safe.
 */
#ifndef LASTWORD_LIB_KUBE_BREAKER_STATE_H
#define LASTWORD_LIB_KUBE_BREAKER_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/error.h"

struct buffer;

#define BREAKER_CONFIG_MAP  "lastword-breaker"
#define BREAKER_KEY         "state.json"
#define BREAKER_ENTRIES_MAX 500
#define BREAKER_VERSION     1
/* Bytes of the whole ConfigMap as the API server prints it; etcd stores 1 MiB. */
#define BREAKER_OBJECT_MAX ((size_t)4 * 1024 * 1024)

#define BREAKER_NAMESPACE_SIZE 64
#define BREAKER_VERSION_SIZE   64 /* of a resourceVersion */

enum breaker_position { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN };

struct breaker_entry {
	char namespace[BREAKER_NAMESPACE_SIZE];
	enum breaker_position position;
	int64_t since;
	int64_t until;     /* of OPEN: when it becomes HALF_OPEN; 0: never by itself */
	char reason[32];   /* a word: docs/guards.md lists them */
	char message[256]; /* for people */
	char pod[254]; /* that could not start, or the owner that could not create one; "": none */
	char trial[254]; /* of HALF_OPEN: the pod that was let through; "": none was seen */
};

struct breaker_state {
	struct breaker_entry *entries;
	size_t count;
	size_t size;
};

/* Where the ConfigMap is. */
struct breaker_place {
	char namespace[BREAKER_NAMESPACE_SIZE];
	char name[254];
};
/* Reads NAMESPACE/NAME. */
bool breaker_place_parse(const char *text, struct breaker_place *ret_place, struct error *error);

/* "closed", "open", "half-open". Static. */
const char *breaker_position_name(enum breaker_position position);

/* Reads the document. */
bool breaker_state_parse(const char *text, size_t length, struct breaker_state *ret_state,
                         struct error *error);
/* Reads the ConfigMap, as GET returns it; without the key the state is empty. */
bool breaker_config_map_parse(const char *body, size_t length, struct breaker_state *ret_state,
                              char ret_version[BREAKER_VERSION_SIZE], struct error *error);
/* Appends the document, and a merge patch of the ConfigMap that holds it, which the API server
 * refuses with 409 Conflict where the object has another resourceVersion. Ask buffer_ok(). */
void breaker_state_write(const struct breaker_state *state, struct buffer *out);
void breaker_config_map_patch(const struct breaker_state *state, const char *version,
                              struct buffer *out);

/* NULL is fine. */
void breaker_state_free(struct breaker_state *state);
#define _cleanup_breaker_state_ __attribute__((cleanup(breaker_state_free)))

/* NULL: there is no entry. Valid until the state changes. */
struct breaker_entry *breaker_state_find(const struct breaker_state *state, const char *namespace);
/* The entry of that namespace, or a new one that is CLOSED; NULL: no room, no memory, or no name of
 * a namespace. */
struct breaker_entry *breaker_state_add(struct breaker_state *state, const char *namespace);
void breaker_state_remove(struct breaker_state *state, struct breaker_entry *entry);

/* The transitions. now: nanoseconds since 1970. Texts are cut to their room, at a character,
 * and what a terminal should not see is replaced. */
struct breaker_cause {
	const char *reason;
	const char *message; /* NULL: none, as pod */
	const char *pod;
};
void breaker_entry_open(struct breaker_entry *entry, int64_t now, int64_t until,
                        const struct breaker_cause *cause);
void breaker_entry_half_open(struct breaker_entry *entry, int64_t now);
/* Forgets why it was open. */
void breaker_entry_close(struct breaker_entry *entry, int64_t now);
void breaker_entry_set_trial(struct breaker_entry *entry, const char *pod);

#endif
