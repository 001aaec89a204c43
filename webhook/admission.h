/*
 * admission: turns the bytes of an AdmissionReview into the bytes of its response. Pure: no I/O, no
 * clock.
 *
 * injection_make() decides about a pod, makes the patch and checks the patched pod. The webhook
 * calls it through admission_review() and the CLI calls it directly, so both always decide alike.
 *
 * Thread-safe: all state belongs to the caller, and a configuration is immutable.
 */
#ifndef LASTWORD_WEBHOOK_ADMISSION_H
#define LASTWORD_WEBHOOK_ADMISSION_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/buffer.h"
#include "lib/document/json.h"
#include "webhook/config.h"
#include "webhook/patch.h"
#include "webhook/policy.h"

/* The largest review that is accepted: it may hold object and oldObject of up to 3 MiB each, and
 * JSON escapes make them larger. */
#define ADMISSION_BODY_MAX ((size_t)10 * 1024 * 1024)
/* Memory for the trees of all reviews in progress. A pod of 1.5 MiB, the most that etcd stores,
 * needs up to a third of it. A review that needs more is answered with "too large". */
#define ADMISSION_ARENA_MAX ((size_t)64 * 1024 * 1024)
/* How many nodes may be looked at to decide about a pod (lib/document/json.h): a fixed number, more
 * for each node of the pod, and more for each look-up that the configuration asks for. A typical
 * pod needs a tenth of it. */
#define ADMISSION_WORK_BASE       100000
#define ADMISSION_WORK_PER_NODE   16
#define ADMISSION_WORK_PER_LOOKUP 100
/* The largest response. */
#define ADMISSION_RESPONSE_MAX ((size_t)4 * 1024 * 1024)

struct admission_context {
	const struct config *config;
	unsigned server_minor;      /* see policy_input */
	struct image_cache *images; /* likewise */
	struct breaker_table *breaker;
	bool dry_run; /* of the request; admission_review() sets it */
};

/* The label result of lastword_admission_requests_total. */
enum admission_result {
	ADMISSION_INJECTED,  /* a patch was sent */
	ADMISSION_UNCHANGED, /* a rule matched and there was nothing to change */
	ADMISSION_SHADOW,    /* a patch was made and not sent: the rule's mode is shadow */
	ADMISSION_SKIPPED,   /* a rule matched and the pod was not changed, for a reason */
	ADMISSION_UNMATCHED, /* no rule matches */
	ADMISSION_IGNORED,   /* not the creation of a pod */
	ADMISSION_VERIFICATION_FAILED, /* malformed, or the patched pod failed the check: allowed
	                                  unchanged, with a warning */
	ADMISSION_INVALID,             /* no AdmissionReview to answer: HTTP 4xx */
	ADMISSION_RESULT_COUNT,
};
/* "injected", …, for the label. Static. */
const char *admission_result_name(enum admission_result result);

struct injection {
	enum admission_result result;
	struct plan plan;
	struct patch patch;   /* to be sent; empty unless ADMISSION_INJECTED or _SHADOW */
	const char *record;   /* the decision record, JSON; NULL only when the arena was full */
	struct error problem; /* ADMISSION_VERIFICATION_FAILED: what was wrong */
	uint64_t work;        /* nodes that were looked at */
};

/*
 * Decides about a pod (or pod template) and applies the patch to it in place, whatever the result
 * is: a caller that needs the original pod keeps a copy. It never fails: when something is not as
 * it should be, the result is ADMISSION_VERIFICATION_FAILED and the patch is empty. All memory
 * comes from the arena.
 */
void injection_make(const struct admission_context *context, const char *namespace,
                    struct arena *arena, json *pod, struct injection *ret_injection);

/* The request creates a pod; the webhook changes nothing else. */
bool admission_is_pod_creation(const json *request);

struct admission_response {
	unsigned status;    /* HTTP */
	struct buffer body; /* JSON for 200, else one line of text; the caller inits and frees it */
	enum admission_result result;
	/* A bit for each reason in the decision, for lastword_admission_skips_total. */
	uint64_t reasons;
	uint64_t work;         /* as in struct injection */
	const char *record;    /* as in struct injection; NULL when nothing was decided */
	const char *namespace; /* for the log; "" when unknown; in the arena, as is the next one */
	const char *pod;       /* name or generateName; "" when unknown */
	struct error problem;  /* what went wrong, for a person to read; "": nothing */
};

/* Answers one review. response->body is initialised by the caller and empty. */
void admission_review(const struct admission_context *context, struct arena *arena,
                      const char *body, size_t length, struct admission_response *response);

#endif
