#include "lib/diagnosis/redact.h"

#include <string.h>
#include <strings.h>

#include "lib/base/ascii.h"

#define CUT_LINE_MAX    ((size_t)1024)
#define KEY_MAX         ((size_t)64)
#define VALUE_GLANCE    ((size_t)32) /* how much of a value tells whether it looks random */
#define CUT_TOKEN_LEAST 8
#define PEM_LINE_LEAST  40
#define ESCAPES_MAX     ((size_t)8) /* backslashes before a quote: JSON in JSON in JSON */

enum set { SET_ALNUM, SET_TOKEN, SET_BASE64, SETS };

/* Tokens with a beginning of their own: its text, what follows, how many of that at least. */
struct token_row {
	const char *prefix;
	const char *name;
	unsigned char set;
	unsigned char least;
};

static const struct token_row token_table[] = {
        {"AKIA", "aws-key", SET_ALNUM, 16},
        {"ASIA", "aws-key", SET_ALNUM, 16},
        {"ABIA", "aws-key", SET_ALNUM, 16},
        {"ACCA", "aws-key", SET_ALNUM, 16},
        {"AIza", "google-api-key", SET_TOKEN, 30},
        {"ya29.", "google-token", SET_TOKEN, 20},
        {"GOCSPX-", "google-secret", SET_TOKEN, 20},
        {"ghp_", "github-token", SET_ALNUM, 20},
        {"gho_", "github-token", SET_ALNUM, 20},
        {"ghu_", "github-token", SET_ALNUM, 20},
        {"ghs_", "github-token", SET_TOKEN, 20},
        {"ghr_", "github-token", SET_ALNUM, 20},
        {"github_pat_", "github-token", SET_TOKEN, 20},
        {"glpat-", "gitlab-token", SET_TOKEN, 16},
        {"gldt-", "gitlab-token", SET_TOKEN, 16},
        {"glrt-", "gitlab-token", SET_TOKEN, 16},
        {"glcbt-", "gitlab-token", SET_TOKEN, 16},
        {"glptt-", "gitlab-token", SET_TOKEN, 16},
        {"glsoat-", "gitlab-token", SET_TOKEN, 16},
        {"glagent-", "gitlab-token", SET_TOKEN, 16},
        {"gloas-", "gitlab-token", SET_TOKEN, 16},
        {"glft-", "gitlab-token", SET_TOKEN, 16},
        {"xoxb-", "slack-token", SET_TOKEN, 10},
        {"xoxp-", "slack-token", SET_TOKEN, 10},
        {"xoxa-", "slack-token", SET_TOKEN, 10},
        {"xoxr-", "slack-token", SET_TOKEN, 10},
        {"xoxs-", "slack-token", SET_TOKEN, 10},
        {"xoxe-", "slack-token", SET_TOKEN, 10},
        {"xoxe.", "slack-token", SET_TOKEN, 10},
        {"xapp-", "slack-token", SET_TOKEN, 10},
        {"hooks.slack.com/services/", "slack-webhook", SET_BASE64, 20},
        {"discord.com/api/webhooks/", "discord-webhook", SET_BASE64, 20},
        {"npm_", "npm-token", SET_ALNUM, 30},
        {"pypi-AgE", "pypi-token", SET_TOKEN, 30},
        {"sk-ant-", "anthropic-key", SET_TOKEN, 16},
        {"sk-proj-", "openai-key", SET_TOKEN, 16},
        {"sk-svcacct-", "openai-key", SET_TOKEN, 16},
        {"sk-admin-", "openai-key", SET_TOKEN, 16},
        {"sk-None-", "openai-key", SET_TOKEN, 16},
        {"sk-or-v1-", "openrouter-key", SET_TOKEN, 16},
        {"sk-lf-", "langfuse-key", SET_TOKEN, 16},
        {"sk-", "openai-key", SET_ALNUM, 20},
        {"sk_live_", "stripe-key", SET_ALNUM, 16},
        {"sk_test_", "stripe-key", SET_ALNUM, 16},
        {"rk_live_", "stripe-key", SET_ALNUM, 16},
        {"rk_test_", "stripe-key", SET_ALNUM, 16},
        {"whsec_", "stripe-secret", SET_BASE64, 20},
        {"SG.", "sendgrid-key", SET_TOKEN, 20},
        {"hf_", "huggingface-token", SET_ALNUM, 30},
        {"gsk_", "groq-key", SET_ALNUM, 30},
        {"lsv2_", "langsmith-key", SET_TOKEN, 30},
        {"nvapi-", "nvidia-key", SET_TOKEN, 30},
        {"pcsk_", "pinecone-key", SET_TOKEN, 20},
        {"tvly-", "tavily-key", SET_TOKEN, 20},
        {"xai-", "xai-key", SET_ALNUM, 30},
        {"pplx-", "perplexity-key", SET_ALNUM, 30},
        {"r8_", "replicate-token", SET_ALNUM, 30},
        {"dop_v1_", "digitalocean-token", SET_ALNUM, 32},
        {"doo_v1_", "digitalocean-token", SET_ALNUM, 32},
        {"dckr_pat_", "docker-token", SET_TOKEN, 20},
        {"hvs.", "vault-token", SET_TOKEN, 20},
        {"hvb.", "vault-token", SET_TOKEN, 20},
        {"dapi", "databricks-token", SET_ALNUM, 32},
        {"glsa_", "grafana-token", SET_TOKEN, 30},
        {"glc_", "grafana-token", SET_TOKEN, 30},
        {"lin_api_", "linear-key", SET_ALNUM, 30},
        {"shpat_", "shopify-token", SET_ALNUM, 30},
        {"rubygems_", "rubygems-key", SET_ALNUM, 40},
        {"ATATT3", "atlassian-token", SET_TOKEN, 40},
        {"AGE-SECRET-KEY-1", "age-key", SET_ALNUM, 40},
        {"eyJ", "jwt", SET_TOKEN, 30},
        /* Base64 of "-----BEGIN " and RSA P, PRIVATE, EC PRIVATE, OPENSSH: Secrets, kubeconfigs. */
        {"LS0tLS1CRUdJTiBSU0EgU", "private-key", SET_BASE64, 40},
        {"LS0tLS1CRUdJTiBQUklWQVRF", "private-key", SET_BASE64, 40},
        {"LS0tLS1CRUdJTiBFQyBQ", "private-key", SET_BASE64, 40},
        {"LS0tLS1CRUdJTiBPUEVOU1NI", "private-key", SET_BASE64, 40},
};

enum strength {
	STRONG,
	WEAK,     /* also an ordinary word */
	ASSIGNED, /* the same, but for = or a quoted value: "pass: 12" counts tests */
};

/* What the key of a secret ends in, separators and letters' case aside. */
struct key_row {
	const char *end;
	enum strength strength;
};

static const struct key_row key_table[] = {
        {"password", STRONG},      {"passwd", STRONG},
        {"passphrase", STRONG},    {"pwd", STRONG},
        {"apikey", STRONG},        {"accesskey", STRONG},
        {"secretkey", STRONG},     {"accountkey", STRONG},
        {"privatekey", STRONG},    {"signingkey", STRONG},
        {"encryptionkey", STRONG}, {"clientsecret", STRONG},
        {"secretkeybase", STRONG}, {"authtoken", STRONG},
        {"accesstoken", STRONG},   {"refreshtoken", STRONG},
        {"idtoken", STRONG},       {"sessiontoken", STRONG},
        {"bearertoken", STRONG},   {"apitoken", STRONG},
        {"apisecret", STRONG},     {"connectionpass", STRONG},
        {"dbpass", STRONG},        {"userpass", STRONG},
        {"sessionid", WEAK},       {"credential", WEAK},
        {"credentials", WEAK},     {"secret", WEAK},
        {"token", WEAK},           {"masterkey", WEAK},
        {"signature", WEAK},       {"pass", ASSIGNED},
};

struct key {
	bool known;
	enum strength strength;
	bool header;     /* Authorization, Cookie: the value is the rest of the line */
	bool line_start; /* nothing but indent before it */
	bool quoted;
	bool path; /* the name of a file, as in "/run/secrets/db_password: " */
};

/* Where a class element or a set was last found to run to; positions asked for only grow. */
struct run {
	size_t start;
	size_t end;
};

struct scanner {
	const struct redact_patterns *patterns;
	char *text;
	size_t length;
	size_t in;  /* next byte to read */
	size_t out; /* next byte to write; out <= in */
	struct run sets[SETS];
	struct run elements[REDACT_PATTERNS_MAX][REDACT_ELEMENTS_MAX];
	bool boundary;    /* no letter or digit right before in */
	struct key named; /* what a "name" said of the "value" that comes next */
	struct redact_report report;
};

static bool in_set(enum set set, char c)
{
	if (ascii_is_alnum(c))
		return true;
	if (set == SET_TOKEN)
		return c == '_' || c == '-' || c == '.';
	return set == SET_BASE64 &&
	       (c == '_' || c == '-' || c == '.' || c == '+' || c == '/' || c == '=' || c == '~');
}

/* --- Added patterns --- */

static void class_add(struct redact_element *element, unsigned char byte)
{
	element->class[byte / 32] |= UINT32_C(1) << (byte % 32);
}

static bool class_has(const struct redact_element *element, char c)
{
	unsigned char byte = (unsigned char)c;
	return (element->class[byte / 32] >> (byte % 32) & 1) != 0;
}

/* One byte of a class or literal, with its \ taken off. */
static bool pattern_byte(const char *pattern, size_t *at, unsigned char *ret_byte,
                         struct error *error)
{
	size_t i = *at;
	if (pattern[i] == '\\')
		i++;
	if (pattern[i] == '\0')
		return error_set(error, "pattern ends after \\ or inside [ ] at byte %zu", i);
	*ret_byte = (unsigned char)pattern[i];
	*at = i + 1;
	return true;
}

static bool parse_class(const char *pattern, size_t *at, struct redact_element *element,
                        struct error *error)
{
	size_t i = *at + 1;
	size_t opened = *at;
	bool negated = pattern[i] == '^';
	i += negated;
	while (pattern[i] != ']') {
		unsigned char low = 0;
		if (!pattern_byte(pattern, &i, &low, error))
			return false;
		unsigned char high = low;
		if (pattern[i] == '-' && pattern[i + 1] != ']') {
			i++;
			if (!pattern_byte(pattern, &i, &high, error))
				return false;
		}
		if (high < low)
			return error_set(error, "range backwards before byte %zu", i);
		for (unsigned byte = low; byte <= high; byte++)
			class_add(element, (unsigned char)byte);
	}
	if (i == opened + 1 + negated)
		return error_set(error, "empty class [] at byte %zu", opened);
	for (size_t word = 0; negated && word < 8; word++)
		element->class[word] = ~element->class[word];
	if (negated)
		element->class[0] &= ~(UINT32_C(1) << '\n' | UINT32_C(1) << '\r');
	*at = i + 1;
	return true;
}

/* The + or {n} behind a class. */
static bool parse_count(const char *pattern, size_t *at, struct redact_element *element,
                        struct error *error)
{
	element->least = 1;
	if (pattern[*at] == '+') {
		element->run = true;
		(*at)++;
		return true;
	}
	if (pattern[*at] != '{')
		return true;
	size_t i = *at + 1;
	unsigned count = 0;
	for (; ascii_is_digit(pattern[i]) && count <= 4096; i++)
		count = count * 10 + (unsigned)(pattern[i] - '0');
	if (pattern[i] != '}' || count < 1 || count > 4096)
		return error_set(error, "expected {1} to {4096} at byte %zu", *at);
	element->least = (unsigned short)count;
	element->run = true;
	*at = i + 1;
	return true;
}

static bool parse_literal(const char *pattern, size_t *at, struct redact_pattern *out,
                          struct redact_element *element, struct error *error)
{
	while (pattern[*at] != '\0' && pattern[*at] != '[') {
		unsigned char byte = 0;
		if (strchr("]{}+*?()|^$.", pattern[*at]) != NULL)
			return error_set(error, "\"%c\" at byte %zu needs a \\ before it",
			                 pattern[*at], *at);
		if (out->literal_length == REDACT_LITERALS_MAX)
			return error_set(error, "more than %d literal bytes", REDACT_LITERALS_MAX);
		if (!pattern_byte(pattern, at, &byte, error))
			return false;
		out->literals[out->literal_length++] = (char)byte;
		element->literal++;
	}
	return true;
}

static bool compile(const char *pattern, struct redact_pattern *ret_pattern, struct error *error)
{
	struct redact_pattern out = {0};
	unsigned least = 0;
	if (strnlen(pattern, REDACT_PATTERN_SIZE_MAX + 1) > REDACT_PATTERN_SIZE_MAX)
		return error_set(error, "pattern longer than %d bytes", REDACT_PATTERN_SIZE_MAX);
	for (size_t i = 0; pattern[i] != '\0';) {
		if (out.element_count == REDACT_ELEMENTS_MAX)
			return error_set(error, "more than %d parts", REDACT_ELEMENTS_MAX);
		struct redact_element *element = &out.elements[out.element_count++];
		if (pattern[i] != '[') {
			if (!parse_literal(pattern, &i, &out, element, error))
				return false;
			least += element->literal;
			continue;
		}
		if (!parse_class(pattern, &i, element, error) ||
		    !parse_count(pattern, &i, element, error))
			return false;
		least += element->least;
	}
	if (least < 4)
		return error_set(error, "pattern wants %u bytes, at least 4 are needed", least);
	*ret_pattern = out;
	return true;
}

bool redact_pattern_check(const char *pattern, struct error *error)
{
	struct redact_pattern ignored;
	return compile(pattern, &ignored, error);
}

bool redact_patterns_add(struct redact_patterns *patterns, const char *pattern, struct error *error)
{
	if (patterns->count == REDACT_PATTERNS_MAX)
		return error_set(error, "more than %d patterns", REDACT_PATTERNS_MAX);
	if (!compile(pattern, &patterns->patterns[patterns->count], error))
		return false;
	patterns->count++;
	return true;
}

/* --- Scanning --- */

/* The end of the run of a set's bytes at from. Every byte is looked at once for each set. */
static size_t set_end(struct scanner *s, enum set set, size_t from)
{
	struct run *run = &s->sets[set];
	if (from < run->start || from >= run->end) {
		size_t end = from;
		while (end < s->length && in_set(set, s->text[end]))
			end++;
		s->report.work += end - from + 1;
		*run = (struct run){from, end};
	}
	return run->end;
}

/* The same for a class of an added pattern. */
static size_t element_end(struct scanner *s, const struct redact_element *element, struct run *run,
                          size_t from)
{
	if (from < run->start || from >= run->end) {
		size_t end = from;
		while (end < s->length && class_has(element, s->text[end]))
			end++;
		s->report.work += end - from + 1;
		*run = (struct run){from, end};
	}
	return run->end;
}

static bool text_at(const struct scanner *s, size_t at, const char *what)
{
	size_t length = strlen(what);
	return length <= s->length - at && memcmp(s->text + at, what, length) == 0;
}

static void copy(struct scanner *s, size_t count)
{
	if (count == 0)
		return;
	memmove(s->text + s->out, s->text + s->in, count);
	s->out += count;
	s->in += count;
	s->boundary = !ascii_is_alnum(s->text[s->out - 1]);
}

/* Puts the mark of a kind (may be NULL) in the place of everything up to end. */
static void replace(struct scanner *s, size_t end, const char *kind)
{
	size_t room = end - s->in;
	char mark[48] = "[redacted]";
	size_t length = 10;
	if (kind != NULL && strlen(kind) + 11 <= room && strlen(kind) + 12 < sizeof mark) {
		mark[9] = ':';
		while (*kind != '\0')
			mark[length++] = *kind++;
		mark[length++] = ']';
	}
	if (length > room) {
		length = room < 3 ? room : 3;
		mark[0] = mark[1] = mark[2] = '*';
	}
	memcpy(s->text + s->out, mark, length);
	s->out += length;
	s->in = end;
	s->boundary = true;
	s->report.redactions++;
}

static bool take_pattern(struct scanner *s)
{
	for (unsigned p = 0; s->patterns != NULL && p < s->patterns->count; p++) {
		const struct redact_pattern *pattern = &s->patterns->patterns[p];
		const char *literal = pattern->literals;
		size_t at = s->in;
		unsigned e = 0;
		for (; e < pattern->element_count; e++) {
			const struct redact_element *element = &pattern->elements[e];
			size_t taken = element->literal;
			if (taken > 0) {
				s->report.work += taken;
				if (taken > s->length - at ||
				    memcmp(s->text + at, literal, taken) != 0)
					break;
				literal += taken;
			} else {
				taken = element_end(s, element, &s->elements[p][e], at) - at;
				if (taken < element->least)
					break;
				taken = element->run ? taken : 1;
			}
			at += taken;
		}
		if (e == pattern->element_count) {
			replace(s, at, "pattern");
			return true;
		}
	}
	return false;
}

static bool take_token(struct scanner *s)
{
	char first = s->text[s->in];
	for (size_t i = 0; i < sizeof token_table / sizeof *token_table; i++) {
		const struct token_row *row = &token_table[i];
		if (row->prefix[0] != first || !text_at(s, s->in, row->prefix))
			continue;
		size_t start = s->in + strlen(row->prefix);
		size_t end = set_end(s, row->set, start);
		size_t least = row->least;
		if (end == s->length && least > CUT_TOKEN_LEAST)
			least = CUT_TOKEN_LEAST;
		/* A sentence may end right behind a token. */
		while (end > start && s->text[end - 1] == '.')
			end--;
		if (end - start < least)
			continue;
		replace(s, end, row->name);
		return true;
	}
	return false;
}

/* Letters, digits and a capital: words of prose have not all three. */
static bool looks_random(const struct scanner *s, size_t from, size_t end)
{
	bool digit = false;
	bool letter = false;
	size_t limit = end - from < VALUE_GLANCE ? end : from + VALUE_GLANCE;
	for (size_t i = from; i < limit; i++) {
		digit |= ascii_is_digit(s->text[i]);
		letter |= ascii_is_letter(s->text[i]);
	}
	return digit && letter && end - from >= 12;
}

/* "Bearer xyz", "Basic dXNlcjpw": the word stays. */
static bool take_scheme(struct scanner *s)
{
	size_t word = 0;
	if (s->length - s->in > 7 && strncasecmp(s->text + s->in, "bearer ", 7) == 0)
		word = 7;
	else if (s->length - s->in > 6 && strncasecmp(s->text + s->in, "basic ", 6) == 0)
		word = 6;
	if (word == 0)
		return false;
	size_t end = set_end(s, SET_BASE64, s->in + word);
	if (!looks_random(s, s->in + word, end))
		return false;
	copy(s, word);
	replace(s, end, NULL);
	return true;
}

/* A private key block, up to its end line or as far as it looks like one. */
static bool take_key_block(struct scanner *s)
{
	if (!text_at(s, s->in, "-----BEGIN "))
		return false;
	size_t label = s->in + 11;
	size_t i = label;
	while (i < s->length && i - label < 40 && (ascii_is_alnum(s->text[i]) || s->text[i] == ' '))
		i++;
	s->report.work += i - label;
	if (i - label < 11 || (memcmp(s->text + i - 11, "PRIVATE KEY", 11) != 0 &&
	                       memcmp(s->text + i - 9, "KEY BLOCK", 9) != 0))
		return false;
	while (i < s->length && s->text[i] == '-')
		i++;
	/* Base64, line ends real or escaped, and headers such as "Proc-Type: 4,ENCRYPTED". */
	while (i < s->length && (in_set(SET_BASE64, s->text[i]) || ascii_is_space(s->text[i]) ||
	                         s->text[i] == '\\' || s->text[i] == ':' || s->text[i] == ',')) {
		if (text_at(s, i, "-----END "))
			break;
		i++;
	}
	s->report.work += i - s->in;
	if (i < s->length && text_at(s, i, "-----END ")) {
		i += 9;
		size_t end_label = i;
		while (i < s->length && i - end_label < 40 &&
		       (ascii_is_alnum(s->text[i]) || s->text[i] == ' '))
			i++;
		while (i < s->length && s->text[i] == '-')
			i++;
	}
	replace(s, i, "private-key");
	return true;
}

/* "://user:password@host": the user stays; "://token@host": a long lone user does not. */
static bool take_url(struct scanner *s)
{
	if (!text_at(s, s->in, "://"))
		return false;
	size_t start = s->in + 3;
	size_t colon = 0;
	size_t at = 0;
	size_t i = start;
	for (;
	     i < s->length && !ascii_is_space(s->text[i]) && strchr("/\"'<>`", s->text[i]) == NULL;
	     i++) {
		if (s->text[i] == ':' && colon == 0)
			colon = i;
		else if (s->text[i] == '@')
			at = i;
	}
	s->report.work += i - s->in;
	if (at == 0 || (colon != 0 && colon > at))
		return false;
	if (colon == 0 && at - start < 20)
		return false;
	copy(s, (colon == 0 ? start : colon + 1) - s->in);
	if (at > s->in)
		replace(s, at, NULL);
	return true;
}

/* --- Keys and values --- */

/* The name before the separator, out of what was written already; reduced to small letters. */
static size_t read_key(struct scanner *s, char name[KEY_MAX + 1], struct key *key)
{
	size_t at = s->out;
	while (at > 0 && s->out - at < 4 && s->text[at - 1] == ' ')
		at--;
	if (at > 0 && (s->text[at - 1] == '"' || s->text[at - 1] == '\'')) {
		key->quoted = true;
		at--;
		for (size_t i = 0; i < ESCAPES_MAX && at > 0 && s->text[at - 1] == '\\'; i++)
			at--;
	}
	size_t length = 0;
	while (at > 0 && length < KEY_MAX &&
	       (ascii_is_alnum(s->text[at - 1]) || strchr("_-.", s->text[at - 1]) != NULL)) {
		char c = s->text[--at];
		if (c != '\0' && ascii_is_alnum(c))
			name[KEY_MAX - 1 - length++] = ascii_is_letter(c) ? (char)(c | 0x20) : c;
	}
	memmove(name, name + KEY_MAX - length, length);
	name[length] = '\0';
	key->path = at > 0 && s->text[at - 1] == '/';
	size_t indent = at;
	while (indent > 0 && at - indent < KEY_MAX &&
	       (s->text[indent - 1] == ' ' || s->text[indent - 1] == '\t'))
		indent--;
	key->line_start = indent == 0 || s->text[indent - 1] == '\n';
	s->report.work += s->out - indent + 1;
	return length;
}

/*
 * Reads forward the name in text[from..end), of letters, digits and separators (and NULs), into
 * name: reduced as read_key() does. Returns where it ends.
 */
static size_t read_name(const struct scanner *s, size_t from, size_t end, const char *separators,
                        char name[KEY_MAX + 1], size_t *ret_length)
{
	size_t length = 0;
	size_t i = from;
	for (; i < end; i++) {
		char c = s->text[i];
		if (ascii_is_alnum(c))
			name[length++] = ascii_is_letter(c) ? (char)(c | 0x20) : c;
		else if (strchr(separators, c) == NULL)
			break;
	}
	name[length] = '\0';
	*ret_length = length;
	return i;
}

/* What the name, in small letters and without separators, says of its value. */
static void look_up(const char *name, size_t length, struct key *key)
{
	static const char *const headers[] = {"authorization", "cookie"};
	for (size_t i = 0; i < 2; i++) {
		size_t end = strlen(headers[i]);
		key->header |= length >= end && strcmp(name + length - end, headers[i]) == 0;
	}
	for (size_t i = 0; i < sizeof key_table / sizeof *key_table && !key->known; i++) {
		size_t end = strlen(key_table[i].end);
		if (length >= end && strcmp(name + length - end, key_table[i].end) == 0) {
			key->known = true;
			key->strength = key_table[i].strength;
		}
	}
	if (!key->known && strcmp(name, "sig") == 0) {
		key->known = true;
		key->strength = WEAK;
	}
	key->known |= key->header;
}

/* The end of a quoted value: its closing quote, the line's end, or the text's. */
static size_t quoted_end(struct scanner *s, size_t from, char quote, bool escaped)
{
	size_t i = from;
	while (i < s->length && s->text[i] != '\n') {
		if (s->text[i] == '\\' && i + 1 < s->length) {
			if (escaped && s->text[i + 1] == quote)
				break;
			i += escaped ? 1 : 2;
			continue;
		}
		if (s->text[i] == quote)
			break;
		i++;
	}
	i = i < s->length ? i : s->length;
	s->report.work += i - from;
	return i;
}

/* The same of an unquoted one; encoded: in a URL's parameter that is percent-encoded itself. */
static size_t bare_end(struct scanner *s, size_t from, bool whole_line, bool encoded)
{
	size_t i = from;
	for (; i < s->length && s->text[i] != '\n' && s->text[i] != '\r'; i++) {
		char c = s->text[i];
		if (!whole_line &&
		    (ascii_is_space(c) || c == '&' || c == ';' || c == '<' || c == '>'))
			break;
		if (encoded && c == '%' && text_at(s, i, "%26"))
			break;
		if (c == '"' || c == '\'' ||
		    (c == '\\' && i + 1 < s->length && strchr("nrt\"", s->text[i + 1]) != NULL))
			break;
	}
	s->report.work += i - from;
	while (i > from && strchr(")]},.", s->text[i - 1]) != NULL && s->text[i - 1] != '\0')
		i--;
	return i;
}

/* A variable or a placeholder stands there, not its value. Looks at VALUE_GLANCE bytes at most. */
static bool is_placeholder(const struct scanner *s, size_t from)
{
	size_t left = s->length - from;
	const char *value = s->text + from;
	if (left < 2)
		return false;
	if (memcmp(value, "**", 2) == 0 || memcmp(value, "==", 2) == 0)
		return true;
	if (value[0] == '{' || value[0] == '[' || value[0] == '<')
		return true;
	if (value[0] == '%')
		return value[1] == 's' || value[1] == 'v' || value[1] == '(';
	if (value[0] != '$')
		return false;
	size_t i = 1;
	while (i < left && i < VALUE_GLANCE &&
	       ((value[i] >= 'A' && value[i] <= 'Z') || value[i] == '_'))
		i++;
	return value[1] == '{' || value[1] == '(' || i == left ||
	       (i > 1 && !ascii_is_alnum(value[i]));
}

/* What is said of a value in its place: "DB_PASSWORD: unbound variable". */
static bool is_complaint(const struct scanner *s, size_t from)
{
	static const char *const phrases[] = {
	        "not set",        "not found",         "no such ",          "unbound variable",
	        "field required", "parameter not set", "permission denied", "expected ",
	};
	for (size_t i = 0; s->text[from - 1] == ' ' && i < sizeof phrases / sizeof *phrases; i++)
		if (s->length - from >= strlen(phrases[i]) &&
		    strncasecmp(s->text + from, phrases[i], strlen(phrases[i])) == 0)
			return true;
	return false;
}

/* A value that gives nothing away. */
static bool is_harmless(const struct scanner *s, size_t from, size_t end)
{
	static const char *const words[] = {
	        "null",    "none", "nil", "true",    "false",     "undefined", "empty",    "unset",
	        "missing", "yes",  "no",  "invalid", "incorrect", "wrong",     "required", "is",
	        "must",    "was",  "not", "and",     "or",        "option",    "flag",
	};
	size_t length = end - from;
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (length == strlen(words[i]) &&
		    strncasecmp(s->text + from, words[i], length) == 0)
			return true;
	return length == 0;
}

/* A weak key in prose, or before a number, is a word. */
static bool is_prose(const struct scanner *s, const struct key *key, char separator, size_t from,
                     size_t end)
{
	if (key->strength == STRONG)
		return false;
	bool prose = separator == ':' && !key->quoted && !key->line_start;
	return end - from < 6 || (prose && !looks_random(s, from, end));
}

/* Behind what is wrapped around the value at from: Some("x"), SecretStr('x'), ["x"], key:[x]. */
static size_t unwrap(const struct scanner *s, size_t from)
{
	size_t i = from;
	while (i < s->length && i - from < 16 &&
	       (ascii_is_alnum(s->text[i]) || s->text[i] == '_' || s->text[i] == ':'))
		i++;
	if (i + 1 >= s->length)
		return from;
	bool quoted = s->text[i + 1] == '"' || s->text[i + 1] == '\'' || s->text[i + 1] == '\\';
	if (s->text[i] == '(')
		return quoted && i > from ? i + 1 : from;
	bool of_go = from == s->in + 1 && s->text[s->in] == ':' && !text_at(s, from, "[redacted");
	return i == from && s->text[i] == '[' && (quoted || of_go) ? i + 1 : from;
}

/* The value at from is quoted: behind its quote. Else from, and no quote. */
static size_t unquote(const struct scanner *s, size_t from, char *ret_quote, bool *ret_escaped)
{
	size_t escapes = 0;
	while (escapes < ESCAPES_MAX && from + escapes < s->length &&
	       s->text[from + escapes] == '\\')
		escapes++;
	char quote = from + escapes < s->length ? s->text[from + escapes] : '\0';
	bool quoted = quote == '"' || (quote == '\'' && escapes == 0);
	*ret_quote = quoted ? quote : '\0';
	*ret_escaped = escapes > 0;
	return from + (quoted ? 1U + escapes : 0U);
}

/* Where the value begins: behind the separator (also :=, =>, ==, %3D), spaces, and its quote. */
static size_t value_start(const struct scanner *s, char *ret_quote, bool *ret_escaped)
{
	size_t from = s->in + (s->text[s->in] == '%' ? 3 : 1);
	if (from < s->length && s->text[from] == (s->text[s->in] == ':' ? '=' : '>'))
		from++;
	while (from < s->length && from - s->in < 16 &&
	       (s->text[from] == ' ' || s->text[from] == '\t'))
		from++;
	return unquote(s, unwrap(s, from), ret_quote, ret_escaped);
}

/* The key that is the value of "name" or "key" there: {name: DB_PASSWORD, value: x} */
static struct key find_named(struct scanner *s)
{
	struct key named = {0};
	char name[KEY_MAX + 1];
	char quote;
	bool escaped;
	size_t length;
	size_t from = value_start(s, &quote, &escaped);
	size_t end = s->length - from < KEY_MAX ? s->length : from + KEY_MAX;
	read_name(s, from, end, "_-.", name, &length);
	s->report.work += length;
	look_up(name, length, &named);
	named.header = false;
	return named;
}

static struct key find_key(struct scanner *s)
{
	struct key key = {0};
	char name[KEY_MAX + 1] = "";
	size_t length = read_key(s, name, &key);
	if (key.path && text_at(s, s->in, ": "))
		return key;
	look_up(name, length, &key);
	if (strcmp(name, "name") == 0 || strcmp(name, "key") == 0) {
		s->named = find_named(s);
	} else if (strcmp(name, "value") == 0) {
		key.known = s->named.known;
		/* name=api_token value=12 may be a measurement. */
		key.strength = s->text[s->in] == '=' ? WEAK : s->named.strength;
		s->named = (struct key){0};
	}
	return key;
}

static size_t value_end(struct scanner *s, const struct key *key, size_t from, char quote,
                        bool escaped)
{
	char separator = s->text[s->in];
	/* A quoted value that stays is scanned again, but no further than the next quote. */
	if (quote != '\0')
		return quoted_end(s, from, quote, escaped);
	if (key->header)
		return bare_end(s, from, true, false);
	if (key->strength == STRONG)
		return bare_end(s, from, key->line_start && separator == ':', separator == '%');
	size_t end = from;
	while (end < s->length && end - from < VALUE_GLANCE && !ascii_is_space(s->text[end]))
		end++;
	return is_prose(s, key, separator, from, end) ? from
	                                              : bare_end(s, from, false, separator == '%');
}

/* At =, : or %3D behind a key: the separator, spaces and quotes stay, the value goes. */
static bool take_value(struct scanner *s)
{
	char separator = s->text[s->in];
	struct key key = find_key(s);
	if (!key.known)
		return false;
	char quote;
	bool escaped;
	size_t from = value_start(s, &quote, &escaped);
	bool prose = key.strength == ASSIGNED && separator == ':' && quote == '\0';
	if (prose || is_placeholder(s, from) || is_complaint(s, from)) {
		copy(s, from - s->in);
		return true;
	}
	size_t end = value_end(s, &key, from, quote, escaped);
	bool stays = is_harmless(s, from, end) || is_prose(s, &key, separator, from, end);
	copy(s, from - s->in);
	if (!stays)
		replace(s, end, NULL);
	return true;
}

/* What a usage text calls a value: "--password PASSWORD", "--api-key string". */
static bool is_metavariable(const struct scanner *s, size_t from, size_t end)
{
	size_t i = from;
	while (i < end && ((s->text[i] >= 'A' && s->text[i] <= 'Z') || s->text[i] == '_'))
		i++;
	return i == end || (end - from == 6 && text_at(s, from, "string"));
}

/* "--password x", also as two words of a list: '--password', 'x'. What it names stays. */
static bool take_flag(struct scanner *s)
{
	if (!s->boundary || !text_at(s, s->in, "--") || s->length - s->in < 3 ||
	    !ascii_is_letter(s->text[s->in + 2]))
		return false;
	char name[KEY_MAX + 1];
	size_t length;
	size_t end = s->length - s->in < KEY_MAX ? s->length : s->in + KEY_MAX;
	end = read_name(s, s->in + 2, end, "-_", name, &length);
	s->report.work += end - s->in;
	if (end + 3 >= s->length)
		return false;
	size_t from = end;
	if ((s->text[end] == '\'' || s->text[end] == '"') && s->text[end + 1] == ',')
		from = end + 2;
	if (s->text[from] != ' ')
		return false;
	struct key key = {0};
	look_up(name, length, &key);
	char quote;
	bool escaped;
	from = unquote(s, from + 1, &quote, &escaped);
	if (!key.known || from >= s->length || s->text[from] == '-' || is_placeholder(s, from))
		return false;
	end = quote != '\0' ? quoted_end(s, from, quote, escaped) : bare_end(s, from, false, false);
	if (is_harmless(s, from, end) || is_metavariable(s, from, end) ||
	    (key.strength != STRONG && !looks_random(s, from, end)))
		return false;
	copy(s, from - s->in);
	replace(s, end, NULL);
	return true;
}

/* --- The beginning of a cut text --- */

/* The end of a line or of an escaped one at from; *ret_next is where the next one begins. */
static size_t base64_end(const struct scanner *s, size_t from, size_t *ret_next)
{
	size_t i = from;
	while (i < s->length && (ascii_is_alnum(s->text[i]) || strchr("+/=", s->text[i]) != NULL) &&
	       s->text[i] != '\0')
		i++;
	size_t next = i;
	if (next < s->length && s->text[next] == '\r')
		next++;
	if (next < s->length && s->text[next] == '\n')
		next++;
	else if (next + 1 < s->length && s->text[next] == '\\' && s->text[next + 1] == 'n')
		next += 2;
	*ret_next = next;
	return i;
}

/* Drops the rest of a first line or word, and of a private key. */
static void drop_cut_start(struct scanner *s)
{
	size_t limit = s->length < CUT_LINE_MAX ? s->length : CUT_LINE_MAX;
	size_t next;
	size_t end = base64_end(s, 0, &next);
	bool in_key = next > end;
	const char *newline = memchr(s->text, '\n', limit);
	size_t start = newline != NULL ? (size_t)(newline - s->text) + 1 : end;
	if (newline == NULL)
		while (start < s->length && !ascii_is_space(s->text[start]))
			start++;
	if (in_key && newline == NULL)
		start = next;
	while (start < s->length) {
		end = base64_end(s, start, &next);
		if (end - start < PEM_LINE_LEAST && !(end > start && text_at(s, next, "-----END ")))
			break;
		start = next > end ? next : end;
		if (next == end)
			break;
	}
	s->in = start;
	s->report.work += start + limit;
}

/* Bytes that separate words though they are letters: \n in a string, %3D in a URL, colours. */
static size_t escape_length(const struct scanner *s)
{
	const char *text = s->text + s->in;
	size_t left = s->length - s->in;
	if (text[0] == '\\' && left >= 2 && text[1] != '\0' && strchr("nrtbf", text[1]) != NULL)
		return 2;
	if (text[0] == '%' && left >= 3 && ascii_is_alnum(text[1]) && ascii_is_alnum(text[2]))
		return 3;
	size_t i = 2;
	if (text[0] == '\033' && left >= 3 && text[1] == '[') {
		while (i < left && i < 16 && (ascii_is_digit(text[i]) || text[i] == ';'))
			i++;
		return i < left ? i + 1 : i;
	}
	return 0;
}

static bool take_secret(struct scanner *s)
{
	char c = s->text[s->in];
	if (take_pattern(s))
		return true;
	if (c == '=' || c == ':')
		return (c == ':' && take_url(s)) || take_value(s);
	if (c == '%' && (text_at(s, s->in, "%3D") || text_at(s, s->in, "%3d")))
		return take_value(s);
	if (c == '-')
		return take_key_block(s) || take_flag(s);
	return s->boundary && ascii_is_letter(c) && (take_token(s) || take_scheme(s));
}

size_t redact(const struct redact_patterns *patterns, bool cut_start, char *text, size_t length,
              struct redact_report *ret_report)
{
	struct scanner s = {.patterns = patterns, .text = text, .length = length, .boundary = true};
	if (cut_start)
		drop_cut_start(&s);
	while (s.in < s.length) {
		s.report.work++;
		if (take_secret(&s))
			continue;
		size_t escape = escape_length(&s);
		copy(&s, escape > 0 ? escape : 1);
		s.boundary |= escape > 0;
	}
	if (ret_report != NULL)
		*ret_report = s.report;
	return s.out;
}
