#include "lib/http/process_metrics.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static const struct metric_definition definitions[PROCESS_METRIC_COUNT] = {
        [PROCESS_CPU_SECONDS] = {.type = METRIC_COUNTER,
                                 .name = "process_cpu_seconds_total",
                                 .help = "User and system CPU time spent."},
        [PROCESS_RESIDENT_MEMORY] = {.type = METRIC_GAUGE,
                                     .name = "process_resident_memory_bytes",
                                     .help = "Resident memory."},
        [PROCESS_OPEN_FDS] = {.type = METRIC_GAUGE,
                              .name = "process_open_fds",
                              .help = "Open file descriptors."},
        [PROCESS_MAX_FDS] = {.type = METRIC_GAUGE,
                             .name = "process_max_fds",
                             .help = "The most file descriptors that may be open."},
        [PROCESS_START_TIME] = {.type = METRIC_GAUGE,
                                .name = "process_start_time_seconds",
                                .help = "When the process started, since 1970."},
};

static double seconds_of(clockid_t clock)
{
	struct timespec now;
	return clock_gettime(clock, &now) != 0 ? 0 : (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

void process_metrics_add(struct process_metrics *process, struct metrics *registry)
{
	for (size_t i = 0; i < PROCESS_METRIC_COUNT; i++)
		process->families[i] = metrics_add(registry, &definitions[i]);
	process->booted_at = seconds_of(CLOCK_REALTIME) - seconds_of(CLOCK_BOOTTIME);
}

static void set(struct process_metrics *process, enum process_metric which, double value)
{
	static const char *const none[] = {NULL};
	metric_set(metric_get(process->families[which], none), value);
}

/* The fields of /proc/self/stat from the third on, which follow the name in parentheses: user and
 * system time (14, 15), start after boot (22), in clock ticks; resident pages (24). */
static void update_stat(struct process_metrics *process)
{
	char text[1024];
	int file = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
	ssize_t length = file < 0 ? -1 : read(file, text, sizeof text - 1);
	double ticks = (double)sysconf(_SC_CLK_TCK);
	unsigned long user, system, pages;
	unsigned long long start;
	if (file >= 0)
		close(file);
	if (length <= 0)
		return;
	text[length] = '\0';
	const char *fields = strrchr(text, ')');
	if (fields == NULL ||
	    sscanf(fields + 1,
	           " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %*d %*d %*d %*d %*d %*d "
	           "%llu %*u %lu",
	           &user, &system, &start, &pages) != 4)
		return;
	set(process, PROCESS_CPU_SECONDS, (double)(user + system) / ticks);
	set(process, PROCESS_RESIDENT_MEMORY, (double)pages * (double)sysconf(_SC_PAGESIZE));
	set(process, PROCESS_START_TIME, process->booted_at + (double)start / ticks);
}

static void update_files(struct process_metrics *process)
{
	struct rlimit limit;
	DIR *files = opendir("/proc/self/fd");
	size_t count = 0;
	if (files != NULL) {
		for (const struct dirent *entry; (entry = readdir(files)) != NULL;)
			count += entry->d_name[0] != '.';
		closedir(files);
		set(process, PROCESS_OPEN_FDS, (double)(count - 1)); /* but for that of the loop */
	}
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
		set(process, PROCESS_MAX_FDS, (double)limit.rlim_cur);
}

void process_metrics_update(struct process_metrics *process)
{
	update_stat(process);
	update_files(process);
}
