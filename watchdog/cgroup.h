/*
 * cgroup: the kernel's count of OOM kills in this process's memory cgroup, v1 and v2.
 */
#ifndef LASTWORD_WATCHDOG_CGROUP_H
#define LASTWORD_WATCHDOG_CGROUP_H

#include <stdint.h>

/*
 * "oom_kill" of memory.events (v2) or memory.oom_control (v1, Linux 4.13+); -1: not available. In a
 * container the cgroup is mounted as the root of its hierarchy; elsewhere /proc/self/cgroup tells
 * where it is.
 */
int64_t cgroup_oom_kills(void);

/* Finds the path of a cgroup in the text of /proc/self/cgroup: controller is "memory" for v1, ""
 * for v2. Copies it into ret_path, "" if there is none. Pure. */
void cgroup_find_path(const char *text, const char *controller, char *ret_path, unsigned size);

#endif
