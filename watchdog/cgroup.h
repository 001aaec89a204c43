/*
 * cgroup: the kernel's count of OOM kills in this process's memory cgroup, v1 and v2.
 */
#ifndef LASTWORD_WATCHDOG_CGROUP_H
#define LASTWORD_WATCHDOG_CGROUP_H

#include <stdint.h>

/*
 * "oom_kill" of memory.events (v2) or memory.oom_control (v1, Linux 4.13+); -1: not to be had.
 * In a container the cgroup is mounted as the root of its hierarchy; elsewhere /proc/self/cgroup
 * says where it is.
 */
int64_t cgroup_oom_kills(void);

/* The memory cgroup's path in the text of /proc/self/cgroup, for v1 (named "memory") or v2. Pure;
 * copies into ret_path ("" when there is none). */
void cgroup_find_path(const char *text, const char *controller, char *ret_path, unsigned size);

#endif
