/* Keys, certificates and whole rounds against a Secret and a configuration in memory: what is made,
 * what is read from rubbish, and every allocation failing in turn, OpenSSL's too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/crypto.h>

#include "certs/publish.h"
#include "certs/reconcile.h"
#include "certs/x509.h"
#include "lib/base/base64.h"
#include "lib/base/clock.h"
#include "lib/base/duration.h"
#include "lib/document/json.h"
#include "tests/unit/failing_malloc.h"

/* ---- OpenSSL's allocations fail by its own hooks ---- */

static void *openssl_malloc(size_t size, const char *file, int line)
{
	(void)file;
	(void)line;
	return size == 0 || fails() ? NULL : __real_malloc(size);
}

static void *openssl_realloc(void *memory, size_t size, const char *file, int line)
{
	(void)file;
	(void)line;
	return fails() ? NULL : __real_realloc(memory, size);
}

static void openssl_free(void *memory, const char *file, int line)
{
	(void)file;
	(void)line;
	free(memory);
}

/* ---- A cluster in memory ---- */

struct cluster {
	int64_t now;
	char *secret; /* JSON; NULL: not there */
	char *bundle; /* base64 */
	unsigned version;
	size_t calls;
	size_t failing_call; /* that many calls later one fails */
	char served[4096];
};

/* Of the allocations of a round (5,000 to 34,000, nearly all OpenSSL's) every so many fails; with 1
 * it takes minutes, and shows the same. */
#ifdef __SANITIZE_ADDRESS__
#define STRIDE 2003
#else
#define STRIDE 149
#endif

static const struct rotate_policy policy = {
        .leaf_lifetime = 60 * SECOND, .authority_lifetime = 120 * SECOND, .settle = 5 * SECOND};

static void take(char **text, const char *value)
{
	free(*text);
	*text = strdup(value);
	assert_non_null(*text);
}

/* As much of a merge patch as there is in ours: members of data and annotations. */
static void merge_members(struct arena *arena, json *object, const json *patch)
{
	for (const json *member = json_first(patch); member != NULL; member = json_next(member)) {
		if (json_is_null(member))
			json_remove(object, json_get(object, json_key(member)));
		else
			json_set_member(arena, object, json_key(member),
			                json_duplicate(arena, member));
	}
}

static void store_secret(struct cluster *cluster, const struct kube_request *request)
{
	struct arena *_cleanup_arena_ arena = arena_new(0);
	struct buffer _cleanup_buffer_ text;
	json *patch = NULL;
	json *secret = NULL;
	char version[16];
	buffer_init(&text, 1 << 20);
	assert_int_equal(json_parse(arena, request->body, request->body_length, 0, &patch, NULL),
	                 JSON_FAITHFUL);
	if (cluster->secret == NULL)
		secret = patch;
	else {
		assert_int_equal(json_parse(arena, cluster->secret, strlen(cluster->secret), 0,
		                            &secret, NULL),
		                 JSON_FAITHFUL);
		merge_members(arena, json_get(secret, "data"), json_get(patch, "data"));
		merge_members(arena, json_find(secret, "metadata", "annotations", NULL),
		              json_find(patch, "metadata", "annotations", NULL));
	}
	snprintf(version, sizeof version, "%u", ++cluster->version);
	json_set_member(arena, json_get(secret, "metadata"), "resourceVersion",
	                json_new_string(arena, version));
	json_print(&text, secret, 0);
	take(&cluster->secret, buffer_text(&text));
}

static void store_bundle(struct cluster *cluster, const struct kube_request *request)
{
	struct arena *_cleanup_arena_ arena = arena_new(0);
	json *patch = NULL;
	assert_int_equal(json_parse(arena, request->body, request->body_length, 0, &patch, NULL),
	                 JSON_FAITHFUL);
	assert_int_equal(json_size(patch), 2);
	assert_string_equal(json_get_string(json_at(patch, 1), "path"),
	                    "/webhooks/0/clientConfig/caBundle");
	take(&cluster->bundle, json_get_string(json_at(patch, 1), "value"));
	cluster->version++;
}

static bool answer_get(struct cluster *cluster, bool secret, struct kube_response *answer)
{
	if (secret && cluster->secret == NULL) {
		answer->status = 404;
		return false;
	}
	answer->status = 200;
	if (secret)
		buffer_append_text(&answer->body, cluster->secret);
	else
		buffer_printf(&answer->body,
		              "{\"kind\":\"MutatingWebhookConfiguration\",\"metadata\":{"
		              "\"resourceVersion\":\"%u\"},\"webhooks\":[{\"clientConfig\":{"
		              "\"caBundle\":\"%s\"}}]}",
		              cluster->version, cluster->bundle == NULL ? "" : cluster->bundle);
	return true;
}

/* The cluster itself has all the memory it needs. */
static bool call(void *context, const struct kube_request *request, struct kube_response *answer,
                 struct error *error)
{
	struct cluster *cluster = context;
	size_t kept = until_failure;
	bool secret = strstr(request->path, "/secrets") != NULL;
	bool good = true;
	until_failure = SIZE_MAX;
	if (cluster->calls++ == cluster->failing_call) {
		answer->status = 0;
		good = error_set(error, "injected");
	} else if (request->method == NULL) {
		good = answer_get(cluster, secret, answer);
	} else if (secret) {
		store_secret(cluster, request);
	} else {
		store_bundle(cluster, request);
	}
	until_failure = kept;
	return good;
}

static void read_clock(void *context, int64_t *ret_now, int64_t *ret_monotonic)
{
	struct cluster *cluster = context;
	*ret_now = cluster->now;
	*ret_monotonic = cluster->now;
}

static bool use(void *context, const char *chain, const char *key, struct error *error)
{
	struct cluster *cluster = context;
	(void)error;
	assert_non_null(strstr(key, "-----BEGIN PRIVATE KEY-----"));
	snprintf(cluster->served, sizeof cluster->served, "%s", chain);
	return true;
}

static struct publish_names names = {
        .service = "s", .namespace = "n", .configuration = "c", .secret = "t"};

static void begin(struct cluster *cluster, struct round *round)
{
	*cluster = (struct cluster){.now = 1000000 * SECOND, .failing_call = SIZE_MAX};
	*round = (struct round){.names = &names,
	                        .policy = &policy,
	                        .context = cluster,
	                        .call = call,
	                        .clock = read_clock,
	                        .use = use};
}

static void end(struct cluster *cluster)
{
	free(cluster->secret);
	free(cluster->bundle);
}

/* Rounds until there is nothing more to do; the number of rounds that failed. */
static size_t run_rounds(struct round *round)
{
	struct round_report report;
	struct error error;
	size_t failures = 0;
	for (unsigned i = 0; i < 20; i++) {
		enum round_end end = round_run(round, &report, &error);
		if (end == ROUND_REST)
			return failures;
		failures += end == ROUND_FAILED;
	}
	fail_msg("20 rounds without an end");
	return failures;
}

/* ---- Tests ---- */

/* Months in a moment: leaves and authorities come and go. */
static void test_lives(void **state)
{
	(void)state;
	struct cluster cluster;
	struct round round;
	char last[sizeof cluster.served] = "";
	unsigned certificates = 0;
	begin(&cluster, &round);
	for (unsigned second = 0; second < 600; second++) {
		assert_int_equal(run_rounds(&round), 0);
		assert_true(round.serving.any && rotate_published(&round.serving));
		assert_true(cluster.now + 10 * SECOND < round.serving.not_after);
		certificates += strcmp(last, cluster.served) != 0;
		memcpy(last, cluster.served, sizeof last);
		cluster.now += SECOND;
	}
	assert_in_range(certificates, 14, 30);
	end(&cluster);
}

/* Every call to the API fails once, in turn. */
static void test_every_call_fails(void **state)
{
	(void)state;
	for (size_t n = 0;; n++) {
		struct cluster cluster;
		struct round round;
		begin(&cluster, &round);
		cluster.failing_call = n;
		size_t failures = run_rounds(&round);
		assert_true(rotate_published(&round.serving));
		bool reached = cluster.calls > n;
		end(&cluster);
		if (!reached)
			break;
		assert_int_equal(failures, 1);
	}
}

/* A state that is to be left in one round, so that all that a round can do is done: the next
 * authority has settled. */
static void settle(struct cluster *cluster, struct round *round)
{
	assert_int_equal(run_rounds(round), 0);
	for (unsigned second = 0; second < 90; second++) {
		cluster->now += SECOND;
		assert_int_equal(run_rounds(round), 0);
	}
}

/* What a round makes of a failed allocation is a failure or the right thing; never a key thrown
 * away, which a wrong "no" from OpenSSL would do. */
static void walk_allocations(int64_t later, bool first_start)
{
	struct cluster cluster;
	struct round round;
	begin(&cluster, &round);
	if (!first_start)
		settle(&cluster, &round);
	cluster.now += later;
	size_t n = 0;
	for (bool reached = true; reached; n += STRIDE) {
		struct cluster copy = cluster;
		struct round again = round;
		struct round_report report;
		struct error error = {""};
		copy.secret = cluster.secret == NULL ? NULL : strdup(cluster.secret);
		copy.bundle = cluster.bundle == NULL ? NULL : strdup(cluster.bundle);
		again.context = &copy;
		fail_after(n, false);
		enum round_end how = round_run(&again, &report, &error);
		until_failure = SIZE_MAX;
		reached = failed;
		if (how == ROUND_FAILED)
			assert_string_not_equal(error.message, "");
		assert_true(first_start || !report.plan.new_authority);
		assert_int_equal(report.plan.healing, false);
		assert_int_equal(run_rounds(&again),
		                 0); /* it goes on from there, whatever it was */
		assert_true(rotate_published(&again.serving));
		end(&copy);
	}
	print_message("# %zu allocations\n", n);
	assert_true(n > 100);
	end(&cluster);
}

static void test_allocations_of_a_first_start(void **state)
{
	(void)state;
	walk_allocations(0, true);
}

static void test_allocations_of_a_quiet_round(void **state)
{
	(void)state;
	walk_allocations(0, false);
}

static void test_allocations_of_a_renewal(void **state)
{
	(void)state;
	walk_allocations(45 * SECOND, false);
}

static void test_rubbish(void **state)
{
	(void)state;
	static const char *const texts[] = {
	        "",
	        "-----BEGIN CERTIFICATE-----\n",
	        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
	        "-----BEGIN ",
	        "-----END CERTIFICATE-----\n-----BEGIN CERTIFICATE-----",
	        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
	        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE "
	        "KEY-----\n",
	};
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		struct certificate *list[2];
		struct private_key *key = NULL;
		struct error error = {""};
		size_t count = 9;
		bool clean = false;
		assert_true(x509_read_certificates(texts[i], strlen(texts[i]), list, 2, &count,
		                                   &clean, &error));
		assert_int_equal(count, 0);
		assert_int_equal(clean, texts[i][0] == '\0');
		assert_int_equal(x509_read_key(texts[i], strlen(texts[i]), &key, &error), X509_NO);
		assert_null(key);
	}
}

static void test_profiles_that_are_refused(void **state)
{
	(void)state;
	const char *long_name[] = {"x", ""};
	struct certificate *certificate = NULL;
	struct private_key *key = NULL;
	struct error error;
	struct x509_profile profile = {.common_name = "c", .not_before = 10, .not_after = 5};
	profile.serial[0] = 1;
	assert_false(x509_make_authority(&profile, &certificate, &key, &error));
	profile.not_after = 20;
	profile.serial[0] = 0;
	assert_false(x509_make_authority(&profile, &certificate, &key, &error));
	profile.serial[15] = 1;
	assert_true(x509_make_authority(&profile, &certificate, &key, &error));
	struct certificate *leaf = NULL;
	struct private_key *leaf_key = NULL;
	profile.names = long_name;
	profile.name_count = 2;
	assert_false(x509_make_leaf(&profile, certificate, key, &leaf, &leaf_key, &error));
	profile.name_count = 0;
	assert_false(x509_make_leaf(&profile, certificate, key, &leaf, &leaf_key, &error));
	profile.name_count = 1;
	assert_true(x509_make_leaf(&profile, certificate, key, &leaf, &leaf_key, &error));
	assert_int_equal(x509_verify(leaf, certificate, 15, &error), X509_YES);
	assert_int_equal(x509_verify(leaf, certificate, 21, &error), X509_NO);
	assert_int_equal(x509_verify(leaf, certificate, 9, &error), X509_NO);
	assert_int_equal(x509_verify(leaf, leaf, 15, &error), X509_YES); /* trusted by itself */
	assert_int_equal(x509_verify(certificate, leaf, 15, &error), X509_NO);
	assert_int_equal(x509_key_fits(leaf, key), X509_NO);
	assert_int_equal(x509_key_fits(leaf, leaf_key), X509_YES);
	assert_true(x509_is_authority(certificate));
	assert_false(x509_is_authority(leaf));
	x509_certificate_free(leaf);
	x509_key_free(leaf_key);
	x509_certificate_free(certificate);
	x509_key_free(key);
	x509_certificate_free(NULL);
	x509_key_free(NULL);
}

/* A replica with a valid leaf believes the Secret only so far. */
static void test_serving_has_a_memory(void **state)
{
	(void)state;
	struct rotate_view view = {.authority_count = 2,
	                           .bundles = ROTATE_BUNDLES_READ,
	                           .bundle_count = 1,
	                           .has_settled = true};
	struct rotate_serving serving = {.any = false};
	const int64_t now = 1000 * SECOND;
	view.authorities[0] = (struct rotate_authority){.id = {{1}}, .not_after = INT64_MAX};
	view.authorities[1] = (struct rotate_authority){.id = {{2}}, .not_after = INT64_MAX};
	view.authorities[0].bundles = 1;
	view.leaf.fits = true;
	view.leaf.issuer = 0;
	view.leaf.id = (struct rotate_id){{10}};
	view.leaf.not_after = 2 * now;
	view.settled = view.authorities[0].id;
	assert_true(rotate_serve(&view, &policy, now, 0, &serving));
	rotate_served(&view, &serving);
	assert_false(rotate_serve(&view, &policy, now, 0, &serving)); /* it is that one */

	/* Another authority's leaf, vouched for, which this replica has not seen in the bundle. */
	view.leaf.issuer = 1;
	view.leaf.id = (struct rotate_id){{20}};
	view.settled = view.authorities[1].id;
	assert_false(rotate_serve(&view, &policy, now, 0, &serving));
	view.authorities[1].bundles = 1;
	assert_false(rotate_serve(&view, &policy, now, 1, &serving));
	assert_false(rotate_serve(&view, &policy, now, policy.settle, &serving));
	assert_true(rotate_serve(&view, &policy, now, policy.settle + 1, &serving));
	view.authorities[1].bundles = 0; /* a break: from the beginning */
	assert_false(rotate_serve(&view, &policy, now, policy.settle + 2, &serving));
	view.authorities[1].bundles = 1;
	assert_false(rotate_serve(&view, &policy, now, policy.settle + 3, &serving));
	view.bundles = ROTATE_BUNDLES_UNKNOWN; /* not known is no break */
	assert_true(rotate_serve(&view, &policy, now, 3 * policy.settle, &serving));
	/* Nothing to lose: what is served is trusted no more, or has expired. */
	view.bundles = ROTATE_BUNDLES_READ;
	view.authorities[0].bundles = 0;
	serving.seen_count = 0;
	assert_true(rotate_serve(&view, &policy, now, 3 * policy.settle, &serving));
	view.has_settled = false;
	assert_false(rotate_serve(&view, &policy, now, 9 * policy.settle, &serving));
}

int main(void)
{
	struct error error;
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_lives),
	        cmocka_unit_test(test_every_call_fails),
	        cmocka_unit_test(test_allocations_of_a_first_start),
	        cmocka_unit_test(test_allocations_of_a_quiet_round),
	        cmocka_unit_test(test_allocations_of_a_renewal),
	        cmocka_unit_test(test_rubbish),
	        cmocka_unit_test(test_profiles_that_are_refused),
	        cmocka_unit_test(test_serving_has_a_memory),
	};
	if (CRYPTO_set_mem_functions(openssl_malloc, openssl_realloc, openssl_free) != 1 ||
	    !publish_names_init(&names, &error))
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
