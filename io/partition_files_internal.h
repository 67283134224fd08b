/* What the halves of partition_files share: partition_files.c writes, partition_commit.c commits
 * and goes back to commits, partition_log.c keeps the log of them. Nobody else includes it. */
#ifndef LEAT_IO_PARTITION_FILES_INTERNAL_H
#define LEAT_IO_PARTITION_FILES_INTERNAL_H

#include "io/partition_files.h"
#include "io/partition_log.h"

#define PARTITION_NO_SLOT UINT32_MAX

struct partition {
    char *path;     /* below the folder */
    uint64_t start; /* append: its size before the run */
    uint64_t size;  /* where the next bytes go */
    uint64_t inode;
    uint32_t slot; /* NO_SLOT: not open */
    bool made;     /* its part is there */
    bool published;
    /* since the last commit */
    bool is_new;
    bool changed; /* in any way */
    bool written; /* to its file */
    /* of the last commit: what of its open frame is in the log already */
    uint64_t logged_size;
    uint64_t logged_tail;
};

/* An open file. */
struct partition_slot {
    struct partition *partition; /* NULL: free */
    int fd;
    char *buffer;
    size_t length;
    uint64_t used; /* turn of the last use: the least is closed first */
};

struct partition_files {
    struct partition_options options;
    char *prefix;
    int folder;
    struct partition **items; /* in order of appearance */
    size_t count;
    size_t room;
    uint32_t *table; /* hash -> item + 1 */
    size_t table_size;
    struct partition_slot *slots;
    unsigned slot_count;
    size_t buffer_size;
    char *encoded; /* one compressed buffer */
    size_t encoded_size;
    uint64_t turn;
    uint64_t written;
    bool folders_made; /* since the last commit */
};

/* partition_files.c */
bool partition_fail(const struct partition_files *files, const struct partition *partition,
                    const char *what, int os_errno, struct error *error);
/* Opens the folder that holds the file, making folders on the way; *name: the file's name in it.
 * -1: *error. */
int partition_folder_open(struct partition_files *files, const struct partition *partition,
                          const char **name, struct error *error);
void partition_part_name(const char *name, char part[256]);
/* Adds one that is not there yet. NULL: no memory. */
struct partition *partition_add(struct partition_files *files, struct string path);
/* Opens its part. */
int partition_reopen(struct partition_files *files, struct partition *partition,
                     struct error *error);
bool partition_slot_flush(struct partition_files *files, struct partition_slot *slot,
                          struct error *error);
bool partition_slots_close(struct partition_files *files, struct error *error);
bool partition_folders_sync(struct partition_files *files, struct error *error);

#endif
