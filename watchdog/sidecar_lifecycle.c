#include "watchdog/sidecar_lifecycle.h"

#include <string.h>

#include "lib/base/clock.h"

#define NATIVE_LEFT  (1500 * MILLISECOND)
#define CLASSIC_LEFT (2 * SECOND)

bool restart_policy_parse(const char *text, enum restart_policy *ret_policy)
{
	static const char *const names[] = {[RESTART_ALWAYS] = "Always",
	                                    [RESTART_ON_FAILURE] = "OnFailure",
	                                    [RESTART_NEVER] = "Never"};
	for (int i = 0; i < 3; i++)
		if (strcmp(text, names[i]) == 0) {
			*ret_policy = (enum restart_policy)i;
			return true;
		}
	return false;
}

static bool any_running(const struct sidecar_lifecycle *lifecycle)
{
	for (size_t i = 0; i < lifecycle->count; i++)
		if (lifecycle->containers[i].state == CONTAINER_RUNNING)
			return true;
	return false;
}

/* When this container is gone for good. */
static int64_t gone_at(const struct sidecar_lifecycle *lifecycle,
                       const struct lifecycle_container *container)
{
	switch (container->state) {
	case CONTAINER_WAITING:
		return clock_after(lifecycle->began_at, lifecycle->start_timeout);
	case CONTAINER_RUNNING:
		return NEVER;
	case CONTAINER_TERMINATED:
		break;
	}
	bool final = container->policy == RESTART_NEVER ||
	             (container->policy == RESTART_ON_FAILURE && !container->failed);
	return final ? lifecycle->began_at : NEVER;
}

int64_t sidecar_lifecycle_end_at(const struct sidecar_lifecycle *lifecycle)
{
	if (lifecycle->terminated_at >= 0) {
		int64_t classic = lifecycle->grace >= 2 * CLASSIC_LEFT
		                          ? lifecycle->grace - CLASSIC_LEFT
		                          : lifecycle->grace / 2;
		if (!any_running(lifecycle))
			return lifecycle->terminated_at;
		return clock_after(lifecycle->terminated_at,
		                   lifecycle->classic ? classic : NATIVE_LEFT);
	}
	if (!lifecycle->classic)
		return NEVER;
	int64_t over = lifecycle->began_at;
	for (size_t i = 0; i < lifecycle->count; i++) {
		int64_t gone = gone_at(lifecycle, &lifecycle->containers[i]);
		over = gone > over ? gone : over;
	}
	return over;
}
