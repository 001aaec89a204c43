/* The pure parts of lib/kube/client (when a request is retried) and lib/http/url. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "lib/http/url.h"
#include "lib/kube/client.h"

#define MILLISECOND INT64_C(1000000)

static int64_t delay(const char *method, long status, int64_t retry_after, unsigned attempt,
                     uint64_t random)
{
	struct kube_response response = {.status = status, .retry_after = retry_after};
	return kube_retry_delay(method, &response, attempt, random);
}

static void test_what_is_retried(void **state)
{
	(void)state;
	const long again[] = {429, 500, 502, 503, 504};
	const long never[] = {200, 301, 400, 401, 403, 404, 409, 410, 422, 501};
	for (size_t i = 0; i < sizeof again / sizeof *again; i++)
		assert_true(delay("POST", again[i], -1, 1, 0) > 0);
	for (size_t i = 0; i < sizeof never / sizeof *never; i++)
		assert_int_equal(delay(NULL, never[i], -1, 1, 0), -1);
	assert_true(delay(NULL, 0, -1, 1, 0) > 0);
	assert_true(delay("GET", 0, -1, 1, 0) > 0);
	assert_int_equal(delay("PUT", 0, -1, 1, 0), -1);
}

static void test_delays_double_with_jitter(void **state)
{
	(void)state;
	for (unsigned attempt = 1; attempt < 100; attempt++) {
		int64_t most =
		        attempt >= 10 ? 30000 * MILLISECOND : (100 * MILLISECOND) << (attempt - 1);
		most = most > 30000 * MILLISECOND ? 30000 * MILLISECOND : most;
		assert_int_equal(delay(NULL, 503, -1, attempt, 0), most / 2);
		assert_int_equal(delay(NULL, 503, -1, attempt, (uint64_t)most / 2), most);
		assert_true(delay(NULL, 503, -1, attempt, UINT64_MAX) <= most);
	}
	assert_int_equal(delay(NULL, 503, -1, 0, 0), 50 * MILLISECOND);
}

static void test_retry_after_is_kept(void **state)
{
	(void)state;
	const int64_t wanted = 7000 * MILLISECOND;
	for (uint64_t random = 0; random < 1000; random++) {
		int64_t got = delay("POST", 429, wanted, 1, random * 1234567);
		assert_true(got >= wanted && got < wanted + 100 * MILLISECOND);
	}
	/* The server asks for less than the client waits anyway. */
	assert_int_equal(delay("POST", 429, 1, 20, 0), 15000 * MILLISECOND);
}

static void test_escape(void **state)
{
	(void)state;
	struct buffer out;
	buffer_init(&out, 100);
	url_escape(&out, "lastword.dev/injected=a b,\xc3\xa9&+?");
	assert_string_equal(buffer_text(&out), "lastword.dev%2Finjected%3Da%20b%2C%C3%A9%26%2B%3F");
	buffer_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_what_is_retried),
	        cmocka_unit_test(test_delays_double_with_jitter),
	        cmocka_unit_test(test_retry_after_is_kept),
	        cmocka_unit_test(test_escape),
	};
	return cmocka_run_group_tests_name("kube_client", tests, NULL, NULL);
}
