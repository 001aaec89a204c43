/* Image references and challenges of registries, case by case. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/registry/challenge.h"
#include "lib/registry/digest.h"
#include "lib/registry/reference.h"

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void test_references(void **state)
{
	(void)state;
	static const struct {
		const char *text, *registry, *host, *path, *tag, *digest;
	} cases[] = {
	        {"python", "docker.io", "registry-1.docker.io", "library/python", "latest", ""},
	        {"apache/airflow:2.9.1-python3.11", "docker.io", "registry-1.docker.io",
	         "apache/airflow", "2.9.1-python3.11", ""},
	        {"index.docker.io/a", "docker.io", "registry-1.docker.io", "library/a", "latest",
	         ""},
	        {"localhost/a", "localhost", "localhost", "a", "latest", ""},
	        {"localhost:5000/a/b:c", "localhost:5000", "localhost:5000", "a/b", "c", ""},
	        {"[::1]:5000/a", "[::1]:5000", "[::1]:5000", "a", "latest", ""},
	        {"r.example.com/a__b/c.d--e@sha256:" HEX, "r.example.com", "r.example.com",
	         "a__b/c.d--e", "", "sha256:" HEX},
	        {"r.example.com/a:v1@sha256:" HEX, "r.example.com", "r.example.com", "a", "v1",
	         "sha256:" HEX},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct image_reference reference;
		struct error error = {""};
		if (!image_reference_parse(cases[i].text, &reference, &error))
			fail_msg("%s: %s", cases[i].text, error.message);
		assert_string_equal(reference.registry, cases[i].registry);
		assert_string_equal(reference.host, cases[i].host);
		assert_string_equal(reference.path, cases[i].path);
		assert_string_equal(reference.tag, cases[i].tag);
		assert_string_equal(reference.digest, cases[i].digest);
	}
}

static void test_what_is_no_reference(void **state)
{
	(void)state;
	static const char *const cases[] = {
	        "",
	        "/",
	        "a/",
	        "/a",
	        "A",
	        "a b",
	        "a:",
	        "a:-b",
	        "a:b:c",
	        "a@",
	        "a@sha256:x",
	        "a@sha256:" HEX "0",
	        "a@md5:" HEX,
	        "a..b",
	        "a_",
	        "a___b",
	        "-a",
	        "a//b",
	        "r.example.com/../b",
	        "r.example.com/",
	        ":5000/a",
	        "r.example.com/a?b",
	        "a%2fb",
	        "user@r.example.com/a",
	        "r.exa mple.com/a",
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct image_reference reference = {.tag = "untouched"};
		struct error error = {""};
		if (image_reference_parse(cases[i], &reference, &error))
			fail_msg("%s was taken", cases[i]);
		assert_string_equal(reference.tag, "untouched");
		assert_string_not_equal(error.message, "");
	}
	char tag[200] = "a:";
	memset(tag + 2, 'x', 129);
	assert_false(image_reference_parse(tag, &(struct image_reference){.tag = ""}, NULL));
	tag[2 + 128] = '\0';
	assert_true(image_reference_parse(tag, &(struct image_reference){.tag = ""}, NULL));
}

static void test_challenges(void **state)
{
	(void)state;
	static const struct {
		const char *header;
		enum challenge_scheme scheme;
		const char *realm, *service, *scope;
	} cases[] = {
	        {"Basic realm=\"r\"", CHALLENGE_BASIC, "r", "", ""},
	        {"basic", CHALLENGE_BASIC, "", "", ""},
	        {"Bearer realm=\"https://a/t\",service=\"s, t\",scope=\"repository:a:pull,push\"",
	         CHALLENGE_BEARER, "https://a/t", "s, t", "repository:a:pull,push"},
	        {"BEARER REALM = https://a/t , x=\"\\\"\"", CHALLENGE_BEARER, "https://a/t", "",
	         ""},
	        {"Negotiate, Digest realm=\"no\", Bearer realm=\"https://b\"", CHALLENGE_BEARER,
	         "https://b", "", ""},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct challenge challenge;
		struct error error = {""};
		if (!challenge_parse(cases[i].header, &challenge, &error))
			fail_msg("%s: %s", cases[i].header, error.message);
		assert_int_equal(challenge.scheme, cases[i].scheme);
		assert_string_equal(challenge.realm, cases[i].realm);
		assert_string_equal(challenge.service, cases[i].service);
		assert_string_equal(challenge.scope, cases[i].scope);
	}
}

static void test_digest(void **state)
{
	(void)state;
	char digest[REFERENCE_DIGEST_SIZE];
	assert_true(image_digest("abc", 3, digest)); /* FIPS 180-4's example */
	assert_string_equal(digest, "sha256:ba7816bf8f01cfea414140de5dae2223"
	                            "b00361a396177a9cb410ff61f20015ad");
	assert_true(image_digest_is_valid(digest));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_references),
	        cmocka_unit_test(test_what_is_no_reference),
	        cmocka_unit_test(test_challenges),
	        cmocka_unit_test(test_digest),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
