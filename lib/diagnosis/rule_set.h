/*
 * rule_set: finds the rules that a line of a log matches, all at once.
 *
 * Every rule has four literal bytes, its anchor, chosen when the table is made so that few rules
 * have the same. The matcher looks up the four bytes at every position of the line, folded to
 * small letters, in a table of their hashes, and compares the few rules whose anchor may stand
 * there. So the work is linear in the line and does not grow with the number of rules; it is
 * counted in the tests. (An Aho-Corasick automaton of these patterns has about ten thousand states
 * and would not fit into the program that runs in the pod.)
 *
 * rules_builtin is made from lib/diagnosis/rules/ by lib/diagnosis/rules/generate.c when lastword
 * is built. Rules of one's own are few and are kept by the caller.
 *
 * Thread safety: pure.
 */
#ifndef LASTWORD_LIB_DIAGNOSIS_RULE_SET_H
#define LASTWORD_LIB_DIAGNOSIS_RULE_SET_H

#include <string.h>

#include "lib/diagnosis/cause.h"
#include "lib/diagnosis/rule.h"

#define RULE_BUCKET_BITS 11
#define RULE_BUCKETS     (1 << RULE_BUCKET_BITS)
#define OWN_RULES_MAX    16
#define RULE_UNLIMITED   255 /* a line that no ceiling holds down */

struct rule_table {
	const struct diagnosis_rule *rules;
	const char *patterns;
	const uint16_t *buckets; /* RULE_BUCKETS: 1 + the first rule of each hash; 0: none */
	const struct rule_detail *details; /* [0] is no detail; in their order of precedence */
	size_t rule_count;
	size_t detail_count;
};

extern const struct rule_table rules_builtin;

/* Where each built-in rule stands, as "llm.rules:12"; only for people, not linked into the pod. */
extern const char *const rules_builtin_places[];

/* Rules of one's own: plain memory of the caller; all zero is none. */
struct own_rules {
	struct diagnosis_rule rules[OWN_RULES_MAX];
	char patterns[OWN_RULES_MAX][RULE_PATTERN_MAX];
	unsigned count;
};

/* The rule could be added to an empty set. */
bool own_rules_check(const char *text, struct error *error);

/* Adds the rule; own is unchanged on failure. */
bool own_rules_add(struct own_rules *own, const char *text, struct error *error);

/* A line as the matcher sees it. */
struct rule_text {
	const char *bytes;
	const char *folded; /* the same in small letters */
	size_t length;
	size_t message; /* where the message begins, behind time, level and logger */
};

/* What the rules say of a line. Rules are numbered: the built-in ones, then one's own. */
struct rule_findings {
	unsigned weight;    /* the highest; RULE_NONE's is 0 */
	unsigned insisting; /* the highest of those that the line's level does not lower */
	unsigned ceiling;   /* RULE_UNLIMITED: none */
	bool frame;
	uint8_t detail;       /* number of the first in precedence; 0: none */
	unsigned rule;        /* that gave the weight; RULE_NONE: none did */
	unsigned detail_rule; /* that gave the detail */
	bool detail_is_final; /* by a ceiling's rule: no other one changes it */
	enum rule_take take;  /* of the rule that gave the weight */
	size_t at;            /* where that one matched */
	size_t end;
};

#define RULE_NONE (~0U)

/* Looks for all rules; own may be NULL. ret_work (may be NULL) grows by the bytes compared. */
void rules_find(const struct rule_table *table, const struct own_rules *own,
                const struct rule_text *text, struct rule_findings *ret_findings,
                uint64_t *ret_work);

/* The rule of that number matches the text somewhere. */
bool rule_matches(const struct rule_table *table, unsigned number, const struct rule_text *text);

/* The hash of an anchor's four folded bytes: its highest bits are the bucket, then the tag. */
static inline uint32_t rule_hash(const char *folded)
{
	uint32_t word;
	memcpy(&word, folded, sizeof word);
	return word * UINT32_C(2654435761);
}

static inline unsigned rule_bucket(uint32_t hash)
{
	return hash >> (32 - RULE_BUCKET_BITS);
}

static inline uint16_t rule_tag(uint32_t hash)
{
	return (uint16_t)(hash >> (16 - RULE_BUCKET_BITS));
}

#endif
