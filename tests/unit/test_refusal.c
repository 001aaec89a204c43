/* Which refusals of pods are about lastword's container: messages of real API servers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "observer/guard/refusal.h"

static const struct sidecar_amount amounts[] = {{"cpu", "25m", "50m"}, {"memory", "16Mi", "16Mi"}};

#define FORBIDDEN   "Error creating: pods \"job-x7k2p\" is forbidden: "
#define PODSECURITY FORBIDDEN "violates PodSecurity \"restricted:latest\": "

static const struct {
	const char *message;
	bool ours;
} cases[] = {
        /* LimitRange: one container's minimum, maximum and ratio. */
        {FORBIDDEN "minimum memory usage per Container is 32Mi, but request is 16Mi", true},
        {FORBIDDEN "minimum memory usage per Container is 32Mi, but request is 16777216", true},
        {FORBIDDEN "minimum cpu usage per Container is 100m, but request is 25m", true},
        {FORBIDDEN "minimum cpu usage per Container is 100m, but request is 50m", true},
        {FORBIDDEN "minimum cpu usage per Container is 100m, but limit is 50m", true},
        {FORBIDDEN "[minimum cpu usage per Container is 100m, but request is 25m, minimum memory "
                   "usage per Container is 32Mi, but request is 16Mi]",
         true},
        {FORBIDDEN "cpu max limit to request ratio per Container is 1, but provided ratio is "
                   "2.000000",
         true},
        {FORBIDDEN "minimum memory usage per Container is 32Mi, but request is 20Mi", false},
        {FORBIDDEN "minimum cpu usage per Container is 100m.  No request is specified", false},
        {FORBIDDEN "[minimum cpu usage per Container is 100m, but request is 25m, maximum memory "
                   "usage per Container is 1Gi, but limit is 2Gi]",
         false},
        {FORBIDDEN "cpu max limit to request ratio per Container is 1, but provided ratio is "
                   "4.000000",
         false},
        {FORBIDDEN "cpu max limit to request ratio per Container is 1, but no request is "
                   "specified or request is 0",
         false},
        /* LimitRange: the pod's maximum, which it would keep without us. */
        {FORBIDDEN "maximum memory usage per Pod is 1Gi, but limit is 1040Mi", true},
        {FORBIDDEN "maximum memory usage per Pod is 1Gi, but limit is 1090519040", true},
        {FORBIDDEN "maximum cpu usage per Pod is 1, but limit is 1050m", true},
        {FORBIDDEN "maximum memory usage per Pod is 1Gi, but limit is 1041Mi", false},
        {FORBIDDEN "maximum memory usage per Pod is 1Gi, but limit is 2Gi", false},
        {FORBIDDEN "minimum memory usage per Pod is 1Gi, but request is 16Mi", false},
        /* Quotas. */
        {FORBIDDEN "exceeded quota: q, requested: requests.memory=144Mi, used: "
                   "requests.memory=880Mi, limited: requests.memory=1Gi",
         false},
        {FORBIDDEN "exceeded quota: q, requested: requests.memory=144Mi, used: "
                   "requests.memory=896Mi, limited: requests.memory=1Gi",
         true},
        {FORBIDDEN "exceeded quota: q, requested: limits.cpu=1050m,requests.cpu=525m, used: "
                   "limits.cpu=1,requests.cpu=500m, limited: limits.cpu=2,requests.cpu=1",
         true},
        {FORBIDDEN "exceeded quota: q, requested: limits.cpu=1050m,requests.cpu=525m, used: "
                   "limits.cpu=1,requests.cpu=900m, limited: limits.cpu=2,requests.cpu=1",
         false},
        {FORBIDDEN "exceeded quota: q, requested: memory=16Mi, used: memory=1Gi, limited: "
                   "memory=1Gi",
         true},
        {FORBIDDEN "exceeded quota: q, requested: pods=1, used: pods=10, limited: pods=10", false},
        {FORBIDDEN "exceeded quota: q, requested: pods=1,requests.memory=144Mi, used: pods=10,"
                   "requests.memory=896Mi, limited: pods=10,requests.memory=1Gi",
         false},
        {FORBIDDEN "exceeded quota: q, requested: requests.memory=x", false},
        {FORBIDDEN "failed quota: q: must specify limits.cpu for: lastword-watchdog", true},
        {FORBIDDEN "failed quota: q: must specify limits.cpu for: lastword-watchdog; "
                   "limits.memory for: lastword-install,lastword-watchdog",
         true},
        {FORBIDDEN "failed quota: q: must specify limits.cpu for: lastword-watchdog,main", false},
        {FORBIDDEN "failed quota: q: must specify limits.cpu,limits.memory", false},
        /* Policies. */
        {PODSECURITY "runAsNonRoot != true (container \"lastword-watchdog\" must set "
                     "securityContext.runAsNonRoot=true)",
         true},
        {PODSECURITY "allowPrivilegeEscalation != false (containers \"lastword-install\", "
                     "\"lastword-watchdog\" must set securityContext)",
         true},
        {PODSECURITY "allowPrivilegeEscalation != false (containers \"main\", "
                     "\"lastword-watchdog\" must set securityContext)",
         false},
        {PODSECURITY "a != false (container \"lastword-watchdog\" must set a), b != true "
                     "(container \"main\" must set b)",
         false},
        {PODSECURITY "privileged (container \"main\" must not set privileged)", false},
        {"Error creating: admission webhook \"validate.kyverno.svc\" denied the request: policy "
         "Pod/agents/x for resource violation: require-probes: validation error: container "
         "lastword-watchdog has no livenessProbe",
         true},
        {"Error creating: admission webhook \"validation.gatekeeper.sh\" denied the request: "
         "[repos] container <lastword-watchdog> has an invalid image repo",
         true},
        {"Error creating: admission webhook \"x\" denied the request: container <main> is bad",
         false},
        {"Error creating: Internal error occurred: failed calling webhook", false},
        {"", false},
        {FORBIDDEN, false},
        {FORBIDDEN "exceeded quota: ", false},
        {FORBIDDEN "failed quota: q for: ", false},
        {FORBIDDEN "minimum  usage per ", false},
};

static void test_messages(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		if (refusal_is_ours(cases[i].message, amounts, 2) != cases[i].ours)
			fail_msg("%s: %s", cases[i].message, cases[i].ours ? "missed" : "taken");
}

/* Without the configuration only what names our container is ours. */
static void test_without_amounts(void **state)
{
	(void)state;
	assert_false(refusal_is_ours(cases[0].message, NULL, 0));
	assert_true(refusal_is_ours(FORBIDDEN "container lastword-watchdog", NULL, 0));
}

static void test_a_long_message(void **state)
{
	(void)state;
	static char text[2 * REFUSAL_MESSAGE_MAX];
	memset(text, '(', sizeof text - 1);
	memcpy(text, "lastword-watchdog", 17);
	assert_false(refusal_is_ours(text, amounts, 2));
	text[REFUSAL_MESSAGE_MAX - 1] = '\0';
	assert_true(refusal_is_ours(text, amounts, 2));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_messages),
	        cmocka_unit_test(test_without_amounts),
	        cmocka_unit_test(test_a_long_message),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
