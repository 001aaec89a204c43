/* Fair shares of namespaces: pure, so also walked at random against a plain recount. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "observer/base/fair_share.h"

#define NAMES 40

static struct fair_share share;

static int tear_down(void **state)
{
	(void)state;
	fair_share_free(&share);
	return 0;
}

/* As many as it gets, one by one. */
static size_t take_all(struct fair_holder *holder, size_t capacity, unsigned eagerness)
{
	size_t count = 0;
	while (fair_share_fits(&share, holder, 1, capacity, eagerness)) {
		fair_share_take(&share, holder, 1);
		count++;
	}
	return count;
}

static void test_greedy_holders_leave_something(void **state)
{
	static const struct {
		unsigned eagerness;
		size_t first, second, third;
	} cases[] = {{1, 64, 32, 16}, {3, 96, 24, 6}};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct fair_holder *a = fair_share_acquire(&share, "a");
		struct fair_holder *b = fair_share_acquire(&share, "b");
		struct fair_holder *c = fair_share_acquire(&share, "c");
		assert_int_equal(take_all(a, 128, cases[i].eagerness), cases[i].first);
		assert_int_equal(take_all(b, 128, cases[i].eagerness), cases[i].second);
		assert_int_equal(take_all(c, 128, cases[i].eagerness), cases[i].third);
		/* What comes back goes to those who have less. */
		fair_share_give_back(&share, a, 32);
		assert_true(take_all(c, 128, cases[i].eagerness) >= 16);
		assert_int_equal(take_all(a, 128, cases[i].eagerness), 0);
		fair_share_free(&share);
	}
}

static void test_who_has_less_displaces_who_has_most(void **state)
{
	(void)state;
	struct fair_holder *a = fair_share_acquire(&share, "a");
	struct fair_holder *b = fair_share_acquire(&share, "b");
	assert_null(fair_share_largest(&share));
	assert_false(fair_share_may_displace(&share, a, 1));
	fair_share_take(&share, a, 10);
	assert_ptr_equal(fair_share_largest(&share), a);
	assert_false(fair_share_may_displace(&share, a, 1));
	size_t moved = 0;
	for (; fair_share_may_displace(&share, b, 1); moved++) {
		fair_share_give_back(&share, a, 1);
		fair_share_take(&share, b, 1);
	}
	assert_int_equal(moved, 5);
	assert_false(fair_share_may_displace(&share, a, 1));
	assert_false(fair_share_may_displace(&share, b, 20));
}

static void test_holders_come_and_go(void **state)
{
	struct fair_holder *holders[NAMES] = {NULL};
	size_t users[NAMES] = {0};
	size_t amounts[NAMES] = {0};
	uint64_t random = 1;
	(void)state;
	for (int step = 0; step < 100000; step++) {
		char name[16];
		random = random * UINT64_C(6364136223846793005) + 1442695040888963407U;
		size_t i = (size_t)(random >> 33) % NAMES;
		size_t amount = (size_t)(random >> 45) % 9;
		snprintf(name, sizeof name, "team-%zu", i);
		switch ((random >> 60) % 4) {
		case 0:
			holders[i] = fair_share_acquire(&share, name);
			users[i]++;
			break;
		case 1:
			if (users[i] == 0)
				break;
			if (--users[i] == 0)
				amounts[i] = 0;
			fair_share_release(&share, holders[i]);
			break;
		case 2:
			if (users[i] == 0)
				break;
			fair_share_take(&share, holders[i], amount);
			amounts[i] += amount;
			break;
		default:
			amount = amount < amounts[i] ? amount : amounts[i];
			if (users[i] == 0)
				break;
			fair_share_give_back(&share, holders[i], amount);
			amounts[i] -= amount;
			break;
		}
		size_t total = 0;
		size_t most = 0;
		for (size_t k = 0; k < NAMES; k++) {
			total += amounts[k];
			most = amounts[k] > most ? amounts[k] : most;
			if (users[k] > 0)
				assert_int_equal(holders[k]->amount, amounts[k]);
		}
		const struct fair_holder *largest = fair_share_largest(&share);
		assert_int_equal(share.total, total);
		assert_int_equal(largest == NULL ? 0 : largest->amount, most);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, tear_down)
	const struct CMUnitTest tests[] = {
	        TEST(test_greedy_holders_leave_something),
	        TEST(test_who_has_less_displaces_who_has_most),
	        TEST(test_holders_come_and_go),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
