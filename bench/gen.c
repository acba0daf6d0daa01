/*
 * gen DIR [SCALE]: fills an empty directory with files and deletes part of them again, so that the free space left
 * behind is scattered and full of old data.
 *
 * At scale 1 (about 9 GiB): 20,000 small files of 4 to 64 KiB in 200 directories, 400 medium files of 4 to 20 MiB,
 * and 7 large ones of 512 MiB. Medium files are written four at a time, in turns of 256 to 1024 KiB, which
 * interleaves their extents. Small and large files come in between, in proportion. Then 7 of 10 small and medium
 * files (by a hash of their number) and 5 of 7 large ones are deleted.
 *
 * Every byte depends only on the kind and number of its file, so the content is the same on every run and every file
 * system. Where the file system puts it is not. The content is random, so that nothing compresses it or takes it for
 * zeros.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KIB ((uint64_t) 1 << 10)
#define MIB ((uint64_t) 1 << 20)
#define SMALL_DIRECTORIES 200
#define TOGETHER 4

enum kind { SMALL = 1, MEDIUM, LARGE };

struct file {
    int fd;
    uint64_t left;      /* bytes still to write */
    uint64_t random;    /* state of the generator of this file */
};

static uint64_t block[MIB / 8];

static int root;    /* the directory to fill */

static void fail(const char *what)
{
    fprintf(stderr, "gen: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* SplitMix64: one addition per step, so any start value gives a full-period sequence. */
static uint64_t next(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

static uint64_t between(uint64_t *state, uint64_t low, uint64_t high)
{
    return low + next(state) % (high - low);
}

static const char *name(enum kind kind, int number)
{
    static char text[64];
    switch (kind) {
    case SMALL: snprintf(text, sizeof text, "small/%03d/%05d", number / 20 % SMALL_DIRECTORIES, number); break;
    case MEDIUM: snprintf(text, sizeof text, "medium/%03d", number); break;
    case LARGE: snprintf(text, sizeof text, "large/%d", number); break;
    }
    return text;
}

static struct file start(enum kind kind, int number, uint64_t low, uint64_t high)
{
    struct file file = { .random = (uint64_t) kind << 56 | (uint64_t) number << 20 };
    file.left = between(&file.random, low, high);
    file.fd = open(name(kind, number), O_WRONLY | O_CREAT | O_EXCL, 0644);
    if (file.fd < 0)
        fail(name(kind, number));
    return file;
}

/* Writes up to `length` more bytes (at most one MiB); closes the file at its end. */
static void put(struct file *file, uint64_t length)
{
    if (length > file->left)
        length = file->left;
    for (uint64_t i = 0; i < (length + 7) / 8; i++)
        block[i] = next(&file->random);
    for (uint64_t done = 0; done < length;) {
        ssize_t n = write(file->fd, (char *) block + done, length - done);
        if (n < 0)
            fail("write");
        done += (uint64_t) n;
    }
    file->left -= length;
    if (file->left == 0 && close(file->fd))
        fail("close");
}

static void put_all(struct file file)
{
    while (file.left > 0)
        put(&file, MIB);
}

static void put_in_turns(int first, int count, uint64_t *turns)
{
    struct file files[TOGETHER];
    int open_files = count;
    for (int i = 0; i < count; i++)
        files[i] = start(MEDIUM, first + i, 4 * MIB, 20 * MIB);
    while (open_files > 0) {
        for (int i = 0; i < count; i++) {
            if (files[i].left == 0)
                continue;
            int fd = files[i].fd;
            uint64_t turn = 256 * KIB * between(turns, 1, 5);
            int last = turn >= files[i].left;
            if (last)
                turn = files[i].left;
            /* Without this the file system would gather each file's pages and give it one long extent. */
            int copy = last ? dup(fd) : fd;
            put(&files[i], turn);
            sync_file_range(copy, 0, 0, SYNC_FILE_RANGE_WRITE);
            if (last) {
                close(copy);
                open_files--;
            }
        }
    }
}

static void write_back(void)
{
    if (syncfs(root))
        fail("syncfs");
}

static void make_directory(const char *path)
{
    if (mkdir(path, 0755))
        fail(path);
}

static int deleted(enum kind kind, int number)
{
    uint64_t state = (uint64_t) number * 8 + kind;
    return kind == LARGE ? number % 7 != 1 && number % 7 != 5 : next(&state) % 10 < 7;
}

static void delete_some(enum kind kind, int count)
{
    for (int i = 0; i < count; i++)
        if (deleted(kind, i) && unlink(name(kind, i)))
            fail(name(kind, i));
}

int main(int argc, char **argv)
{
    double scale = argc > 2 ? atof(argv[2]) : 1;
    if (argc < 2 || argc > 3 || !(scale > 0 && scale <= 1)) {
        fprintf(stderr, "usage: gen DIRECTORY [SCALE]   (0 < SCALE <= 1)\n");
        return 2;
    }
    root = open(argv[1], O_RDONLY | O_DIRECTORY);
    if (root < 0 || fchdir(root))
        fail(argv[1]);
    int small = (int) (20000 * scale), medium = (int) (400 * scale), large = (int) (7 * scale + 0.5);
    if (large == 0)
        large = 1;
    make_directory("small");
    make_directory("medium");
    make_directory("large");
    for (int i = 0; i < SMALL_DIRECTORIES; i++) {
        char path[32];
        snprintf(path, sizeof path, "small/%03d", i);
        make_directory(path);
    }

    uint64_t turns = 1;
    int small_done = 0, large_done = 0, batches = 0;
    for (int done = 0; done < medium;) {
        int count = medium - done < TOGETHER ? medium - done : TOGETHER;
        put_in_turns(done, count, &turns);
        done += count;
        for (; (int64_t) small_done * medium < (int64_t) small * done; small_done++)
            put_all(start(SMALL, small_done, 4 * KIB, 64 * KIB));
        for (; large_done < large * done / medium; large_done++)
            put_all(start(LARGE, large_done, 512 * MIB, 512 * MIB + 1));
        if (++batches % 5 == 0)
            write_back();
    }
    write_back();
    delete_some(SMALL, small_done);
    delete_some(MEDIUM, medium);
    delete_some(LARGE, large_done);
    write_back();
    return 0;
}
