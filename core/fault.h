/* The seam where tests inject faults. LEAT_FAULT=io:N:ERRNO makes the N-th I/O operation of the
 * process fail with ERRNO (name or number), io:N+:ERRNO that one and all after it; alloc:N and
 * alloc:N+ do so for allocations of test builds. Counting is atomic; any thread. Costs one load of
 * a static where nothing is to be injected. */
#ifndef LEAT_CORE_FAULT_H
#define LEAT_CORE_FAULT_H

#include "core/base.h"

/* Reads LEAT_FAULT; once, at the start of main. False: not understood (message on stderr). */
bool fault_open(void);
/* 0, or the errno that this I/O operation has to fail with. */
int fault_io(void);
/* True: this allocation has to fail. */
bool fault_alloc(void);
/* How many were counted so far (tests enumerate up to it); printed at exit with LEAT_FAULT=count.
 */
uint64_t fault_io_count(void);
uint64_t fault_alloc_count(void);

/* malloc and friends of leat: count and may fail by injection; freed by free(). All allocation in
 * the project goes through these (lint bans the plain ones). */
void *memory_take(size_t size); /* NULL when short */
void *memory_take_zeroed(size_t count, size_t size);
void *memory_resize(void *memory, size_t size);
char *memory_copy_text(const char *text, size_t length); /* NUL-terminated */

#endif
