/* A disk that forgets: records what a simulated run does to the files of one folder, and makes any
 * state in which a power cut at any instant of it may leave them. Contents: what was synced is
 * there; of what was written since, each sector of 512 bytes holds any of its versions, and the
 * length is any that the file had. Names: what was done since the folder was synced last is there
 * up to some instant, or each of it is there or not. One thread. */
#ifndef LEAT_TESTS_PIPELINE_DISK_H
#define LEAT_TESTS_PIPELINE_DISK_H

#include <stddef.h>
#include <stdint.h>

struct disk_trace;

/* `folder` for the files, `pool` beside it for links by which inodes live on: a state has the
 * inodes of the run, which are recorded in places. Both exist. */
struct disk_trace *disk_trace_open(const char *folder, const char *pool);
void disk_trace_close(struct disk_trace *trace);
/* What is in the folder now is on the disk; what is done from now on is recorded. */
void disk_trace_begin(struct disk_trace *trace);
void disk_trace_end(struct disk_trace *trace);
/* How many operations were recorded. */
unsigned disk_trace_length(const struct disk_trace *trace);
/* Makes the folder as a power cut behind the first `at` operations may leave it; which of the many
 * ways follows from the seed. Files whose names begin with "in" stay. */
void disk_trace_crash(const struct disk_trace *trace, unsigned at, uint64_t seed);
/* Removes all but those files, and empties the pool. */
void disk_clear(const char *folder, const char *pool);

#endif
