/* Keys, certificates and whole reconciles against a Secret and a webhook configuration in memory:
 * what is made, how malformed input is read, and what happens when each allocation fails in turn,
 * also OpenSSL's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/crypto.h>

#include "certs/ca_bundles.h"
#include "certs/read_state.h"
#include "certs/secret.h"
#include "certs/reconcile.h"
#include "certs/x509.h"
#include "lib/base/base64.h"
#include "lib/base/clock.h"
#include "lib/base/duration.h"
#include "lib/document/json.h"
#include "tests/unit/failing_malloc.h"

/* ---- OpenSSL's own hooks make its allocations fail ---- */

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

/* Only every STRIDE-th allocation of a reconcile (5,000 to 34,000, nearly all OpenSSL's) is made to
 * fail: with 1 the test takes minutes and shows the same. */
#ifdef __SANITIZE_ADDRESS__
#define STRIDE 2003
#else
#define STRIDE 149
#endif

static const struct rotate_policy policy = {
        .leaf_lifetime = 60 * SECOND, .ca_lifetime = 120 * SECOND, .propagation_delay = 5 * SECOND};

static void take(char **text, const char *value)
{
	free(*text);
	*text = strdup(value);
	assert_non_null(*text);
}

/* The part of a merge patch that ours use: members of data and annotations. */
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

static bool get_response(struct cluster *cluster, bool secret, struct kube_response *response)
{
	if (secret && cluster->secret == NULL) {
		response->status = 404;
		return false;
	}
	response->status = 200;
	if (secret)
		buffer_append_text(&response->body, cluster->secret);
	else
		buffer_printf(&response->body,
		              "{\"kind\":\"MutatingWebhookConfiguration\",\"metadata\":{"
		              "\"resourceVersion\":\"%u\"},\"webhooks\":[{\"clientConfig\":{"
		              "\"caBundle\":\"%s\"}}]}",
		              cluster->version, cluster->bundle == NULL ? "" : cluster->bundle);
	return true;
}

/* Allocations of the simulated cluster never fail. */
static bool call(void *context, const struct kube_request *request, struct kube_response *response,
                 struct error *error)
{
	struct cluster *cluster = context;
	size_t kept = until_failure;
	bool secret = strstr(request->path, "/secrets") != NULL;
	bool good = true;
	until_failure = SIZE_MAX;
	if (cluster->calls++ == cluster->failing_call) {
		response->status = 0;
		good = error_set(error, "injected");
	} else if (request->method == NULL) {
		good = get_response(cluster, secret, response);
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

static bool use_certificate(void *context, const char *chain, const char *key, struct error *error)
{
	struct cluster *cluster = context;
	(void)error;
	assert_non_null(strstr(key, "-----BEGIN PRIVATE KEY-----"));
	snprintf(cluster->served, sizeof cluster->served, "%s", chain);
	return true;
}

static struct certificate_names names = {
        .service = "s", .namespace = "n", .configuration = "c", .secret = "t"};

static void begin(struct cluster *cluster, struct reconciler *reconciler)
{
	*cluster = (struct cluster){.now = 1000000 * SECOND, .failing_call = SIZE_MAX};
	*reconciler = (struct reconciler){.names = &names,
	                                  .policy = &policy,
	                                  .context = cluster,
	                                  .call = call,
	                                  .clock = read_clock,
	                                  .use_certificate = use_certificate};
}

static void end(struct cluster *cluster)
{
	free(cluster->secret);
	free(cluster->bundle);
}

/* Reconciles until nothing is left to do. Returns the number of reconciles that failed. */
static size_t reconcile_until_done(struct reconciler *reconciler)
{
	struct reconcile_report report;
	struct error error;
	size_t failures = 0;
	for (unsigned i = 0; i < 20; i++) {
		enum reconcile_result end = reconcile(reconciler, &report, &error);
		if (end == RECONCILE_DONE)
			return failures;
		failures += end == RECONCILE_FAILED;
	}
	fail_msg("20 reconciles without an end");
	return failures;
}

/* ---- Tests ---- */

/* Ten minutes stand for months: leaf certificates and CAs are replaced many times. */
static void test_months_of_rotation(void **state)
{
	(void)state;
	struct cluster cluster;
	struct reconciler reconciler;
	char last[sizeof cluster.served] = "";
	unsigned certificates = 0;
	begin(&cluster, &reconciler);
	for (unsigned second = 0; second < 600; second++) {
		assert_int_equal(reconcile_until_done(&reconciler), 0);
		assert_true(reconciler.serving.any && rotate_is_published(&reconciler.serving));
		assert_true(cluster.now + 10 * SECOND < reconciler.serving.not_after);
		certificates += strcmp(last, cluster.served) != 0;
		memcpy(last, cluster.served, sizeof last);
		cluster.now += SECOND;
	}
	assert_in_range(certificates, 14, 30);
	end(&cluster);
}

/* Each call to the API fails once, in turn. */
static void test_every_call_fails(void **state)
{
	(void)state;
	for (size_t n = 0;; n++) {
		struct cluster cluster;
		struct reconciler reconciler;
		begin(&cluster, &reconciler);
		cluster.failing_call = n;
		size_t failures = reconcile_until_done(&reconciler);
		assert_true(rotate_is_published(&reconciler.serving));
		bool reached = cluster.calls > n;
		end(&cluster);
		if (!reached)
			break;
		assert_int_equal(failures, 1);
	}
}

/* Brings the cluster to a state in which one reconcile does all that a reconcile can do: every API
 * server trusts the next CA. */
static void publish_next_ca(struct cluster *cluster, struct reconciler *reconciler)
{
	assert_int_equal(reconcile_until_done(reconciler), 0);
	for (unsigned second = 0; second < 90; second++) {
		cluster->now += SECOND;
		assert_int_equal(reconcile_until_done(reconciler), 0);
	}
}

/* After a failed allocation a reconcile fails or does the right thing; it never discards a key
 * because OpenSSL answered no instead of "no memory". */
static void walk_allocations(int64_t later, bool first_start)
{
	struct cluster cluster;
	struct reconciler reconciler;
	begin(&cluster, &reconciler);
	if (!first_start)
		publish_next_ca(&cluster, &reconciler);
	cluster.now += later;
	size_t n = 0;
	for (bool reached = true; reached; n += STRIDE) {
		struct cluster copy = cluster;
		struct reconciler again = reconciler;
		struct reconcile_report report;
		struct error error = {""};
		copy.secret = cluster.secret == NULL ? NULL : strdup(cluster.secret);
		copy.bundle = cluster.bundle == NULL ? NULL : strdup(cluster.bundle);
		again.context = &copy;
		fail_after(n, false);
		enum reconcile_result how = reconcile(&again, &report, &error);
		until_failure = SIZE_MAX;
		reached = failed;
		if (how == RECONCILE_FAILED)
			assert_string_not_equal(error.message, "");
		assert_true(first_start || !report.plan.new_ca);
		assert_int_equal(report.plan.repair, false);
		assert_int_equal(reconcile_until_done(&again),
		                 0); /* it recovers, whatever failed */
		assert_true(rotate_is_published(&again.serving));
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

static void test_allocations_of_a_quiet_reconcile(void **state)
{
	(void)state;
	walk_allocations(0, false);
}

static void test_allocations_of_a_renewal(void **state)
{
	(void)state;
	walk_allocations(45 * SECOND, false);
}

static void test_malformed_pem(void **state)
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
	assert_false(x509_make_ca(&profile, &certificate, &key, &error));
	profile.not_after = 20;
	profile.serial[0] = 0;
	assert_false(x509_make_ca(&profile, &certificate, &key, &error));
	profile.serial[15] = 1;
	assert_true(x509_make_ca(&profile, &certificate, &key, &error));
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
	assert_int_equal(x509_verify(leaf, leaf, 15, &error),
	                 X509_YES); /* it is its own trust anchor */
	assert_int_equal(x509_verify(certificate, leaf, 15, &error), X509_NO);
	assert_int_equal(x509_key_matches(leaf, key), X509_NO);
	assert_int_equal(x509_key_matches(leaf, leaf_key), X509_YES);
	assert_true(x509_is_ca(certificate));
	assert_false(x509_is_ca(leaf));
	x509_certificate_free(leaf);
	x509_key_free(leaf_key);
	x509_certificate_free(certificate);
	x509_key_free(key);
	x509_certificate_free(NULL);
	x509_key_free(NULL);
}

/* A replica with a valid leaf does not follow the Secret blindly. */
static void test_serving_has_a_memory(void **state)
{
	(void)state;
	struct rotate_view view = {.ca_count = 2,
	                           .bundles = ROTATE_BUNDLES_READ,
	                           .bundle_count = 1,
	                           .has_serving_ca = true};
	struct rotate_serving serving = {.any = false};
	const int64_t now = 1000 * SECOND;
	view.cas[0] = (struct rotate_ca){.id = {{1}}, .not_after = INT64_MAX};
	view.cas[1] = (struct rotate_ca){.id = {{2}}, .not_after = INT64_MAX};
	view.cas[0].bundles = 1;
	view.leaf.usable = true;
	view.leaf.issuer = 0;
	view.leaf.id = (struct rotate_id){{10}};
	view.leaf.not_after = 2 * now;
	view.serving_ca = view.cas[0].id;
	assert_true(rotate_serve(&view, &policy, now, 0, &serving));
	rotate_served(&view, &serving);
	assert_false(rotate_serve(&view, &policy, now, 0, &serving)); /* it is served already */

	/* A leaf of another CA, the serving CA by now, which this replica has not seen in the
	 * caBundle. */
	view.leaf.issuer = 1;
	view.leaf.id = (struct rotate_id){{20}};
	view.serving_ca = view.cas[1].id;
	assert_false(rotate_serve(&view, &policy, now, 0, &serving));
	view.cas[1].bundles = 1;
	assert_false(rotate_serve(&view, &policy, now, 1, &serving));
	assert_false(rotate_serve(&view, &policy, now, policy.propagation_delay, &serving));
	assert_true(rotate_serve(&view, &policy, now, policy.propagation_delay + 1, &serving));
	view.cas[1].bundles = 0; /* a break: the delay begins again */
	assert_false(rotate_serve(&view, &policy, now, policy.propagation_delay + 2, &serving));
	view.cas[1].bundles = 1;
	assert_false(rotate_serve(&view, &policy, now, policy.propagation_delay + 3, &serving));
	view.bundles = ROTATE_BUNDLES_UNKNOWN; /* an unknown caBundle is no break */
	assert_true(rotate_serve(&view, &policy, now, 3 * policy.propagation_delay, &serving));
	/* Nothing is left to protect: the CA of the served leaf is no longer trusted. */
	view.bundles = ROTATE_BUNDLES_READ;
	view.cas[0].bundles = 0;
	serving.seen_count = 0;
	assert_true(rotate_serve(&view, &policy, now, 3 * policy.propagation_delay, &serving));
	view.has_serving_ca = false;
	assert_false(rotate_serve(&view, &policy, now, 9 * policy.propagation_delay, &serving));
}

int main(void)
{
	struct error error;
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_months_of_rotation),
	        cmocka_unit_test(test_every_call_fails),
	        cmocka_unit_test(test_allocations_of_a_first_start),
	        cmocka_unit_test(test_allocations_of_a_quiet_reconcile),
	        cmocka_unit_test(test_allocations_of_a_renewal),
	        cmocka_unit_test(test_malformed_pem),
	        cmocka_unit_test(test_profiles_that_are_refused),
	        cmocka_unit_test(test_serving_has_a_memory),
	};
	if (CRYPTO_set_mem_functions(openssl_malloc, openssl_realloc, openssl_free) != 1 ||
	    !certificate_names_init(&names, &error))
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
