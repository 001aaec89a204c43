/*
 * Fingerprints: random ids of every kind become one form, and failures that differ stay different.
 * The ids come from a generator with a fixed seed: the same in every run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/buffer.h"
#include "lib/diagnosis/fingerprint.h"
#include "lib/diagnosis/normalise.h"

#define IDS 1000

static uint64_t seed;

static uint64_t next_random(void)
{
	/* splitmix64 */
	uint64_t z = (seed += UINT64_C(0x9E3779B97F4A7C15));
	z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
	return z ^ (z >> 31);
}

static unsigned below(unsigned limit)
{
	return (unsigned)(next_random() % limit);
}

static const char hex[] = "0123456789abcdef";
static const char alnum[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
static const char nano[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-";
static const char crockford[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
static const char names[] = "bcdfghjklmnpqrstvwxz2456789";

/*
 * Writes an id of the shape: %8h are 8 hex digits, %H capital ones, %a letters and digits, %n a
 * nanoid's, %c a ULID's, %k those of Kubernetes' names; %<255> is a number up to that; any other
 * byte stands for itself.
 */
static void write_id(const char *shape, char *out, size_t size)
{
	size_t used = 0;
	for (const char *c = shape; *c != '\0' && used + 80 < size; c++) {
		unsigned count = 1;
		int skip = 0;
		if (*c != '%') {
			out[used++] = *c;
			continue;
		}
		if (sscanf(c, "%%<%u>%n", &count, &skip) == 1 && skip > 0) {
			used += (size_t)snprintf(out + used, size - used, "%u", below(count + 1));
			c += skip - 1;
			continue;
		}
		if (sscanf(++c, "%u%n", &count, &skip) == 1)
			c += skip;
		const char *set = *c == 'h'   ? hex
		                  : *c == 'H' ? "0123456789ABCDEF"
		                  : *c == 'a' ? alnum
		                  : *c == 'n' ? nano
		                  : *c == 'c' ? crockford
		                              : names;
		while (count-- > 0)
			out[used++] = set[below((unsigned)strlen(set))];
	}
	out[used] = '\0';
}

static void normalised(const char *text, char out[512])
{
	struct buffer buffer;
	buffer_init_fixed(&buffer, out, 512);
	normalise(text, strlen(text), &buffer);
	assert_true(buffer_ok(&buffer));
	assert_true(buffer.length <= strlen(text));
	buffer_append_text(&buffer, "");
	out[buffer.length] = '\0';
}

/* At least 99.5 % of the ids have the form that most have. */
static bool has_one_form(const char *name, const char *shape)
{
	char id[256];
	char text[400];
	char form[512];
	char first[512] = "";
	unsigned same = 0;
	seed = 20261128;
	for (unsigned i = 0; i < IDS; i++) {
		write_id(shape, id, sizeof id);
		snprintf(text, sizeof text, "Lost job %s of the queue", id);
		normalised(text, form);
		if (i == 0 || (same == 1 && i == 2 && strcmp(first, form) != 0))
			strcpy(first, form);
		same += strcmp(first, form) == 0;
	}
	if (same < IDS * 995 / 1000)
		print_error("%s: %u of %d are %s\n", name, same, IDS, first);
	return same >= IDS * 995 / 1000;
}

static void test_random_ids(void **state)
{
	(void)state;
	static const char *const kinds[][2] = {
	        {"UUID", "%8h-%4h-%4h-%4h-%12h"},
	        {"UUID 4", "%8h-%4h-4%3h-b%3h-%12h"},
	        {"UUID in capitals", "%8H-%4H-%4H-%4H-%12H"},
	        {"ULID", "%<7>%25c"},
	        {"IPv4", "%<255>.%<255>.%<255>.%<255>"},
	        {"IPv4 and port", "%<255>.%<255>.%<255>.%<255>:%<65535>"},
	        {"IPv6", "%4h:%4h:%4h:%4h:%4h:%4h:%4h:%4h"},
	        {"IPv6, shortened", "fe80::%4h:%2hff:fe%2h:%4h"},
	        {"IPv6 and port", "[fd00::%4h:%4h]:%<65535>"},
	        {"MAC", "%2h:%2h:%2h:%2h:%2h:%2h"},
	        {"MD5", "%32h"},
	        {"SHA-1", "%40h"},
	        {"SHA-256", "sha256:%64h"},
	        {"abbreviated commit", "%8h"},
	        {"MongoDB ObjectId", "%24h"},
	        {"trace", "00-%32h-%16h-01"},
	        {"time", "20%<5>9-1%<2>-2%<8>T1%<9>:%<5>0:%<5>0.%<999>Z"},
	        {"time with a zone", "2026-11-2%<8> 1%<9>:%<5>0:%<5>0,000 +0%<9>00"},
	        {"time of day", "%<23>:%<5>0:%<5>0.000"},
	        {"number", "%<4000000000>"},
	        {"address", "0x7f%10h"},
	        {"duration", "%<1000>.%<9>s"},
	        {"Pod of a Deployment", "agent-9%8h9-%5k"},
	        {"Pod of a Job", "agent-2841%<9>0000-%5k"},
	        {"Pod", "agent-%5k"},
	        {"Pod of a StatefulSet", "agent-%<99>"},
	        {"port", "redis:%<65535>"},
	        {"nanoid", "%21n"},
	        {"KSUID", "%27a"},
	        {"request", "req_011C%20a"},
	        {"session", "ses_%26a"},
	        {"temporary path", "/tmp/%8a/plan.json"},
	        {"path with an id", "/runs/%8h-%4h-%4h-%4h-%12h/out.json"},
	        {"MAC with dashes", "%2H-%2H-%2H-%2H-%2H-%2H"},
	        {"time of an access log", "1%<9>/Jul/201%<9>:1%<9>:%<5>0:%<5>0 +0000"},
	        {"message", "msg_01%22a"},
	        {"tool use", "toolu_01%22a"},
	        {"completion", "chatcmpl-%29a"},
	        {"call", "call_%24a"},
	        {"pool and thread", "pool-%<99>-thread-%<99>"},
	        {"node", "ip-10-%<255>-%<255>-%<255>.ec2.internal"},
	        {"instance", "i-0%16h"},
	        {"URL with an id", "http://x/runs/%24a/out"},
	};
	size_t wrong = 0;
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		wrong += !has_one_form(kinds[i][0], kinds[i][1]);
	assert_int_equal(wrong, 0);
}

static void assert_same(const char *one, const char *other, bool same)
{
	char a[FINGERPRINT_SIZE];
	char b[FINGERPRINT_SIZE];
	fingerprint("Job/x-28412345", "main", "Error", one, strlen(one), a);
	fingerprint("Job/x-28412346", "main", "Error", other, strlen(other), b);
	if ((strcmp(a, b) == 0) != same) {
		char forms[2][512];
		normalised(one, forms[0]);
		normalised(other, forms[1]);
		fail_msg("%s | %s", forms[0], forms[1]);
	}
}

static void test_similar(void **state)
{
	(void)state;
	static const char *const pairs[][2] = {
	        {"dial tcp 10.0.0.5:5432: refused", "dial tcp 10.12.0.7:5432: refused"},
	        {"2026-11-23T22:50:13.123Z bad", "2027-01-02T03:04:05Z bad"},
	        {"at 0x7ffd1234 after 12ms", "at 0x55aa after 7ms"},
	        {"open /tmp/tmpa8f_x/in.json: denied", "open /tmp/other: denied"},
	        {"Nov 23 22:50:13 host x", "Jan  2 03:04:05 host x"},
	        {"pod agent-7d9c5b8f6d-x7k2p is gone", "pod agent-6c8f9db4bc-bzqtl is gone"},
	        {"lookup train-model-x7k2p: refused", "lookup train-model-wqzpk: refused"},
	        {"Agent Controller dccb2a92-69a0-4a1e-bc70-288c51da044a: stuck",
	         "Agent Controller 00000000-69a0-4a1e-bc70-aaaaaaaaaaaa: stuck"},
	        {"[28/Jul/2013:02:50:54 +0000] bad", "[01/Aug/2027:18:50:37 +0000] bad"},
	        {"needs 414.9 KiB of memory", "needs 1.2 GiB of memory"},
	        {"lost after 613.046\xC2\xB5s", "lost after 8ms"},
	        {"12 of 30 steps failed", "7 of 30 steps failed"},
	};
	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
		assert_same(pairs[i][0], pairs[i][1], true);
}

static void test_different(void **state)
{
	(void)state;
	static const char *const pairs[][2] = {
	        {"KeyError: 'a'", "KeyError: 'b'"},
	        {"queue agent-model is full", "queue agent-tools is full"},
	        {"refused", "reset"},
	        {"ApiException: (403)", "ApiException: (409)"},
	        {"status code 403", "status code 404"},
	        {"status: 401", "status: 403"},
	        {"HTTP 502 from the API", "HTTP 504 from the API"},
	        {"HTTP/1.1 404 Not Found", "HTTP/1.1 410 Not Found"},
	        {"404 Client Error: x", "403 Client Error: x"},
	        {"Error code: 429 - x", "Error code: 529 - x"},
	        {"\"code\": 429, x", "\"code\": 400, x"},
	        {"got 429 from upstream", "got 503 from upstream"},
	        {"response: 403", "response: 404"},
	        {"SQLSTATE[HY000] [2002] x", "SQLSTATE[HY000] [1045] x"},
	        {"[Errno 111] x", "[Errno 104] x"},
	        {"errno=2 x", "errno=13 x"},
	        {"exit code 2", "exit code 3"},
	        {"ERROR 1045 (28000): x", "ERROR 1040 (08004): x"},
	        {"SQLSTATE 42P01", "SQLSTATE 42703"},
	        {"SQLSTATE[23505]: x", "SQLSTATE[23503]: x"},
	        {"errorCode: 'P1001',", "errorCode: 'P2002',"},
	        {"error TS2322: x", "error TS2345: x"},
	        {"error[E0432]: x", "error[E0433]: x"},
	        {"error CS0103: x", "error CS0246: x"},
	        {"ORA-12541: x", "ORA-01017: x"},
	        {"version `GLIBC_2.38' not found", "version `GLIBC_2.34' not found"},
	        {"received signal 11", "received signal 6"},
	        {"SocketException (111): x", "SocketException (113): x"},
	        {"curl: (22) returned error: 404", "curl: (22) returned error: 503"},
	        {"AADSTS7000215: x", "AADSTS7000222: x"},
	        {"ModuleNotFoundError: x", "NotImplementedError: x"},
	        {"TooManyRequestsException: x", "TooManyRedirectsException: x"},
	        {"HTTP2ConnectionError: x", "HTTP2PushPromiseError: x"},
	        {"readJSONFromHTTPServer failed", "readXMLFromHTTPServer failed"},
	        {"PrismaClientInitializationError: x", "PrismaClientValidationError: x"},
	        {"model gpt-4o-mini-turbo not found", "model gpt-4o-maxi-turbo not found"},
	        {"getUserAccountManagerImpl failed", "getUserAccountFactoryImpl failed"},
	        {"no rule for some-long-worker-pool-name", "no rule for some-long-worker-set-name"},
	        {"env MAX_RETRIES_PER_REQUEST unset", "env MAX_TOKENS_PER_REQUEST unset"},
	        {"class com.example.AgentPlannerService", "class com.example.AgentToolboxService"},
	};
	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
		assert_same(pairs[i][0], pairs[i][1], false);
}

static void assert_family(const char *owner, const char *family)
{
	char storage[128];
	struct buffer out;
	buffer_init_fixed(&out, storage, sizeof storage);
	fingerprint_family(owner, &out);
	assert_string_equal(buffer_text(&out), family);
}

static void test_family(void **state)
{
	(void)state;
	assert_family("Job/nightly-28412345", "Job/nightly");
	assert_family("ReplicaSet/agent-7d9c5b8f6d", "ReplicaSet/agent");
	assert_family("Workflow/train-model-x7k2p", "Workflow/train-model");
	assert_family("Job/data-import", "Job/data-import");
	assert_family("agent", "agent");
	assert_family(NULL, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_random_ids),
	        cmocka_unit_test(test_similar),
	        cmocka_unit_test(test_different),
	        cmocka_unit_test(test_family),
	};
	return cmocka_run_group_tests_name("fingerprint", tests, NULL, NULL);
}
