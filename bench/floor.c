/*
 * floor MODE IMAGE: the least work that gives the free space of an image back. It finds the volumes (GPT or MBR),
 * reads the free-space bitmaps of ext4 and NTFS and nothing else, and punches what is free. It proves nothing: no
 * checksum, no journal, no doubt, no lock. It is a yardstick for time and bytes on images that bench/workloads.sh
 * made. NEVER use it on an image you need.
 *
 *   volumes   one line per volume: number, file system, start, length
 *   scan      reads the bitmaps, prints what was found and how long it took
 *   list      prints the free extents: start and length, at guest offsets
 *   punch     scan, then one fallocate(PUNCH_HOLE) per free extent, then fsync
 *   stale     the bytes of the free extents that the host still stores (FIEMAP); with a third argument, a file that
 *             `list` wrote earlier: of the extents that were free then. Of an image in another format than raw and
 *             qcow2 the list has to hold host offsets
 *
 * All numbers are bytes. An image is raw, or qcow2 (version 2 or 3) with its own data and nothing shared, compressed
 * or encrypted. In qcow2 `punch` leaves the mapping as it is and punches at the host offsets of the free guest
 * ranges.
 *
 * Sources of the layouts: UEFI specification (GPT), kernel documentation filesystems/ext4, libfsntfs' format paper
 * (NTFS), QEMU docs/interop/qcow2.txt.
 */
#define _GNU_SOURCE
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

typedef uint8_t u8;
typedef uint64_t u64;

struct extent { u64 start, length; };

struct extents {
    struct extent *list;
    size_t count, room;
    u64 bytes;
};

struct volume { const char *type; u64 start, length; };

static int image;
static u64 bytes_read, reads;

/* qcow2 only: host offset of each guest cluster, 0 = none. */
static u64 *host_of, cluster_count, cluster_size;

static void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("floor: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

static void *grab(size_t size)
{
    void *memory = calloc(1, size ? size : 1);
    if (!memory)
        fail("no memory for %zu bytes", size);
    return memory;
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double) now.tv_sec + (double) now.tv_nsec / 1e9;
}

static unsigned le16(const u8 *p) { uint16_t v; memcpy(&v, p, 2); return le16toh(v); }
static uint32_t le32(const u8 *p) { uint32_t v; memcpy(&v, p, 4); return le32toh(v); }
static u64 le64(const u8 *p) { u64 v; memcpy(&v, p, 8); return le64toh(v); }
static uint32_t be32(const u8 *p) { uint32_t v; memcpy(&v, p, 4); return be32toh(v); }
static u64 be64(const u8 *p) { u64 v; memcpy(&v, p, 8); return be64toh(v); }

static void read_host(void *target, u64 length, u64 offset)
{
    bytes_read += length;
    reads++;
    for (u8 *p = target; length > 0;) {
        ssize_t n = pread(image, p, length, (off_t) offset);
        if (n <= 0)
            fail("read of %llu bytes at %llu: %s", (unsigned long long) length, (unsigned long long) offset,
                n ? strerror(errno) : "end of file");
        p += n;
        length -= (u64) n;
        offset += (u64) n;
    }
}

static void read_guest(void *target, u64 length, u64 offset)
{
    if (!host_of) {
        read_host(target, length, offset);
        return;
    }
    for (u8 *p = target; length > 0;) {
        u64 cluster = offset / cluster_size, within = offset % cluster_size, part = cluster_size - within;
        if (cluster >= cluster_count)
            fail("read past the end of the disk, at %llu", (unsigned long long) offset);
        if (part > length)
            part = length;
        if (host_of[cluster])
            read_host(p, part, host_of[cluster] + within);
        else
            memset(p, 0, part);
        p += part;
        length -= part;
        offset += part;
    }
}

/* Tells the kernel what will be read soon, so that many reads are under way at once. */
static void expect(u64 length, u64 offset)
{
    if (!host_of)
        posix_fadvise(image, (off_t) offset, (off_t) length, POSIX_FADV_WILLNEED);
}

/* Extents come in ascending order; neighbours are merged. */
static void add(struct extents *set, u64 start, u64 length)
{
    set->bytes += length;
    if (set->count) {
        struct extent *last = set->list + set->count - 1;
        if (last->start + last->length == start) {
            last->length += length;
            return;
        }
    }
    if (set->count == set->room) {
        set->room = set->room ? 2 * set->room : 4096;
        set->list = realloc(set->list, set->room * sizeof *set->list);
        if (!set->list)
            fail("no memory for %zu extents", set->room);
    }
    set->list[set->count++] = (struct extent) { start, length };
}

/* First bit at or after `i` that is `wanted` (0 or 1); `count` if there is none. */
static u64 find_bit(const u8 *bitmap, u64 i, u64 count, int wanted)
{
    u64 skip = wanted ? 0 : ~(u64) 0;
    while (i < count) {
        if (i % 64 == 0 && count - i >= 64) {
            u64 word = le64(bitmap + i / 8);
            if (word == skip) {
                i += 64;
                continue;
            }
            return i + (u64) __builtin_ctzll(word ^ skip);
        }
        if ((bitmap[i / 8] >> i % 8 & 1) == wanted)
            return i;
        i++;
    }
    return count;
}

/* Adds the runs of clear bits; bit 0 stands for the unit at `start`. */
static void add_clear_bits(struct extents *set, const u8 *bitmap, u64 count, u64 start, u64 unit)
{
    for (u64 i = find_bit(bitmap, 0, count, 0); i < count;) {
        u64 end = find_bit(bitmap, i, count, 1);
        add(set, start + i * unit, (end - i) * unit);
        i = find_bit(bitmap, end, count, 0);
    }
}

/* ---- ext4 ---- */

#define COMPAT_SPARSE_SUPER2 0x200
#define INCOMPAT_META_BG 0x10
#define INCOMPAT_64BIT 0x80
#define RO_COMPAT_SPARSE_SUPER 0x1
#define RO_COMPAT_CHECKSUMS 0x410
#define RO_COMPAT_BIGALLOC 0x200
#define BLOCK_UNINIT 0x2

struct ext {
    u64 start, block_size, blocks, first, blocks_per_group, groups, itable_blocks, table_blocks, reserved_blocks;
    unsigned descriptor_size, ro_compat;
    u8 *descriptors;
};

static u64 ext_field(const struct ext *fs, u64 group, int low, int high)
{
    const u8 *d = fs->descriptors + group * fs->descriptor_size;
    return le32(d + low) | (fs->descriptor_size >= 64 ? (u64) le32(d + high) << 32 : 0);
}

static u64 ext_group_length(const struct ext *fs, u64 group)
{
    u64 left = fs->blocks - fs->first - group * fs->blocks_per_group;
    return left < fs->blocks_per_group ? left : fs->blocks_per_group;
}

static int is_power(u64 value, u64 base)
{
    while (value > 1 && value % base == 0)
        value /= base;
    return value == 1;
}

static int ext_has_superblock(const struct ext *fs, u64 group)
{
    return !(fs->ro_compat & RO_COMPAT_SPARSE_SUPER) || group <= 1
        || is_power(group, 3) || is_power(group, 5) || is_power(group, 7);
}

static int by_start(const void *a, const void *b)
{
    u64 x = ((const struct extent *) a)->start, y = ((const struct extent *) b)->start;
    return x < y ? -1 : x > y;
}

/*
 * All blocks that hold bitmaps and inode tables, in ascending order. Flexible block groups keep them together, so
 * merging leaves few. Needed because a group whose bitmap was never written can hold the tables of others.
 */
static struct extents ext_metadata(const struct ext *fs)
{
    struct extents all = { .list = grab(3 * fs->groups * sizeof(struct extent)), .room = 3 * fs->groups };
    for (int which = 0; which < 3; which++) {
        for (u64 g = 0; g < fs->groups; g++) {
            static const int low[] = { 0, 4, 8 }, high[] = { 0x20, 0x24, 0x28 };
            add(&all, ext_field(fs, g, low[which], high[which]), which == 2 ? fs->itable_blocks : 1);
        }
    }
    qsort(all.list, all.count, sizeof *all.list, by_start);
    return all;
}

/* Free = the whole group, less its superblock and descriptor copies, less any bitmaps and inode tables. */
static void ext_uninitialised(struct extents *set, const struct ext *fs, u64 group, const struct extents *metadata,
    size_t *next)
{
    u64 at = fs->first + group * fs->blocks_per_group, end = at + ext_group_length(fs, group);
    while (*next < metadata->count && metadata->list[*next].start + metadata->list[*next].length <= at)
        (*next)++;
    if (ext_has_superblock(fs, group))
        at += 1 + fs->table_blocks + fs->reserved_blocks;
    for (size_t i = *next; i < metadata->count && metadata->list[i].start < end && at < end; i++) {
        const struct extent *used = &metadata->list[i];
        if (used->start > at)
            add(set, fs->start + at * fs->block_size, (used->start - at) * fs->block_size);
        if (used->start + used->length > at)
            at = used->start + used->length;
    }
    if (at < end)
        add(set, fs->start + at * fs->block_size, (end - at) * fs->block_size);
}

static int ext_uninit(const struct ext *fs, u64 group)
{
    const u8 *d = fs->descriptors + group * fs->descriptor_size;
    return fs->ro_compat & RO_COMPAT_CHECKSUMS && le16(d + 0x12) & BLOCK_UNINIT;
}

static int ext_full(const struct ext *fs, u64 group)
{
    const u8 *d = fs->descriptors + group * fs->descriptor_size;
    return le16(d + 0xc) == 0 && (fs->descriptor_size < 64 || le16(d + 0x2c) == 0);
}

static int ext_has_bitmap_to_read(const struct ext *fs, u64 group)
{
    return !ext_uninit(fs, group) && !ext_full(fs, group);
}

static void ext_free(struct extents *set, u64 start)
{
    u8 sb[1024];
    read_guest(sb, sizeof sb, start + 1024);
    unsigned compat = le32(sb + 0x5c), incompat = le32(sb + 0x60);
    struct ext fs = { .start = start, .block_size = (u64) 1024 << le32(sb + 0x18), .ro_compat = le32(sb + 0x64),
        .blocks = le32(sb + 4), .first = le32(sb + 0x14), .blocks_per_group = le32(sb + 0x20), .descriptor_size = 32 };
    u64 free_blocks = le32(sb + 0xc);
    if (incompat & INCOMPAT_META_BG || fs.ro_compat & RO_COMPAT_BIGALLOC || compat & COMPAT_SPARSE_SUPER2)
        fail("meta_bg, bigalloc and sparse_super2 are not handled");
    if (incompat & INCOMPAT_64BIT) {
        fs.blocks |= (u64) le32(sb + 0x150) << 32;
        free_blocks |= (u64) le32(sb + 0x158) << 32;
        fs.descriptor_size = le16(sb + 0xfe);
    }
    fs.groups = (fs.blocks - fs.first + fs.blocks_per_group - 1) / fs.blocks_per_group;
    fs.itable_blocks = ((u64) le32(sb + 0x28) * le16(sb + 0x58) + fs.block_size - 1) / fs.block_size;
    fs.table_blocks = (fs.groups * fs.descriptor_size + fs.block_size - 1) / fs.block_size;
    fs.reserved_blocks = le16(sb + 0xce);
    fs.descriptors = grab(fs.table_blocks * fs.block_size);
    read_guest(fs.descriptors, fs.table_blocks * fs.block_size, start + (fs.first + 1) * fs.block_size);

    struct extents metadata = ext_metadata(&fs);
    size_t next = 0;
    u8 *bitmaps = grab(64 * fs.block_size);
    u64 held = 0, held_at = 0, ahead = 0, pending = 0;     /* `held` bitmaps from block `held_at` on are in memory */
    struct extents mine = { 0 };
    for (u64 g = 0; g < fs.groups; g++) {
        if (ext_uninit(&fs, g)) {
            ext_uninitialised(&mine, &fs, g, &metadata, &next);
            continue;
        }
        if (ext_full(&fs, g))
            continue;
        if (ahead < g)
            ahead = g;
        for (; ahead < fs.groups && pending < 256; ahead++) {
            if (ext_has_bitmap_to_read(&fs, ahead)) {
                expect(fs.block_size, start + ext_field(&fs, ahead, 0, 0x20) * fs.block_size);
                pending++;
            }
        }
        pending--;
        u64 at = ext_field(&fs, g, 0, 0x20);
        if (at < held_at || at >= held_at + held) {
            /* Flexible block groups keep their bitmaps side by side: take all that follow at once. */
            for (held_at = at, held = 1; held < 64 && g + held < fs.groups && ext_has_bitmap_to_read(&fs, g + held)
                && ext_field(&fs, g + held, 0, 0x20) == at + held; held++);
            read_guest(bitmaps, held * fs.block_size, start + at * fs.block_size);
        }
        add_clear_bits(&mine, bitmaps + (at - held_at) * fs.block_size, ext_group_length(&fs, g),
            start + (fs.first + g * fs.blocks_per_group) * fs.block_size, fs.block_size);
    }
    if (mine.bytes != free_blocks * fs.block_size)
        fprintf(stderr, "floor: warning: the superblock counts %llu free bytes, the bitmaps %llu\n",
            (unsigned long long) (free_blocks * fs.block_size), (unsigned long long) mine.bytes);
    for (size_t i = 0; i < mine.count; i++)
        add(set, mine.list[i].start, mine.list[i].length);
    free(mine.list);
    free(metadata.list);
    free(bitmaps);
    free(fs.descriptors);
}

/* ---- NTFS ---- */

static void ntfs_free(struct extents *set, u64 start)
{
    u8 boot[512];
    read_guest(boot, sizeof boot, start);
    u64 sector = le16(boot + 0xb), per_cluster = boot[0xd] > 128 ? (u64) 1 << (256 - boot[0xd]) : boot[0xd];
    u64 cluster = sector * per_cluster, clusters = le64(boot + 0x28) / per_cluster;
    int8_t record_code = (int8_t) boot[0x40];
    u64 record_size = record_code < 0 ? (u64) 1 << -record_code : (u64) record_code * cluster;
    if (cluster == 0 || record_size < 512 || record_size > 65536)
        fail("NTFS boot sector at %llu makes no sense", (unsigned long long) start);

    u8 *record = grab(record_size);
    read_guest(record, record_size, start + le64(boot + 0x30) * cluster + 6 * record_size);     /* 6 = $Bitmap */
    unsigned fixups = le16(record + 4), fixup_count = le16(record + 6);
    for (unsigned i = 1; i < fixup_count && i * 512 <= record_size; i++)
        memcpy(record + i * 512 - 2, record + fixups + 2 * i, 2);
    u64 at = le16(record + 0x14);
    while (at + 0x40 < record_size && le32(record + at) != 0x80) {
        if (le32(record + at) == 0xffffffff || le32(record + at + 4) == 0)
            fail("$Bitmap has no data in its own record");
        at += le32(record + at + 4);
    }
    u64 size = le64(record + at + 0x30), done = 0, lcn = 0;
    if (size < (clusters + 7) / 8)
        fail("$Bitmap is too short");
    u8 *bitmap = grab(size + 8);
    for (u8 *run = record + at + le16(record + at + 0x20); *run && done < size;) {
        unsigned length_bytes = *run & 15, delta_bytes = *run >> 4;
        u64 length = 0, delta = 0;
        if (length_bytes > 7 || delta_bytes > 7)
            fail("$Bitmap has a run of more than 2^56 clusters");
        memcpy(&length, run + 1, length_bytes);
        memcpy(&delta, run + 1 + length_bytes, delta_bytes);
        if (delta_bytes && delta >> (8 * delta_bytes - 1) & 1)
            delta |= ~(u64) 0 << (8 * delta_bytes);
        lcn += delta;
        u64 part = length * cluster < size - done ? length * cluster : size - done;
        read_guest(bitmap + done, part, start + lcn * cluster);
        done += part;
        run += 1 + length_bytes + delta_bytes;
    }
    if (done < size)
        fail("$Bitmap continues in another record: not handled");
    add_clear_bits(set, bitmap, clusters, start, cluster);
    free(bitmap);
    free(record);
}

/* ---- partitions ---- */

static const char *probe(u64 start)
{
    u8 head[2048];
    read_guest(head, sizeof head, start);
    if (memcmp(head + 3, "NTFS    ", 8) == 0)
        return "ntfs";
    return le16(head + 1024 + 0x38) == 0xef53 ? "ext" : "unknown";
}

static int find_volumes(struct volume *volumes, int room)
{
    u8 sectors[1024];
    int count = 0;
    read_guest(sectors, sizeof sectors, 0);
    if (memcmp(sectors + 512, "EFI PART", 8) == 0) {
        u64 table = le64(sectors + 512 + 72) * 512;
        unsigned entries = le32(sectors + 512 + 80), size = le32(sectors + 512 + 84);
        if (entries > 1024 || size < 128 || size > 4096)
            fail("GPT header makes no sense");
        u8 *array = grab((u64) entries * size);
        read_guest(array, (u64) entries * size, table);
        static const u8 none[16];
        for (unsigned i = 0; i < entries && count < room; i++) {
            const u8 *e = array + (u64) i * size;
            if (memcmp(e, none, sizeof none) != 0)
                volumes[count++] = (struct volume) { 0, le64(e + 32) * 512, (le64(e + 40) - le64(e + 32) + 1) * 512 };
        }
        free(array);
    } else if (le16(sectors + 510) == 0xaa55) {
        for (int i = 0; i < 4 && count < room; i++) {
            const u8 *e = sectors + 446 + 16 * i;
            if (e[4] && le32(e + 12))
                volumes[count++] = (struct volume) { 0, (u64) le32(e + 8) * 512, (u64) le32(e + 12) * 512 };
        }
    }
    for (int i = 0; i < count; i++)
        volumes[i].type = probe(volumes[i].start);
    return count;
}

/* ---- qcow2 ---- */

static void open_qcow2(const u8 *header)
{
    u64 size = be64(header + 24), l1 = be64(header + 40);
    unsigned bits = be32(header + 20), entries = be32(header + 36);
    if (be64(header + 8) || be32(header + 32) || be32(header + 60) || bits < 9 || bits > 21
        || (be32(header + 4) >= 3 && be64(header + 72)))
        fail("only plain qcow2: no backing file, encryption, snapshots or incompatible features");
    cluster_size = (u64) 1 << bits;
    cluster_count = (size + cluster_size - 1) / cluster_size;
    u64 per_table = cluster_size / 8;
    if (entries < (cluster_count + per_table - 1) / per_table)
        fail("L1 table is too short");
    u8 *l1_table = grab(8 * (u64) entries), *table = grab(cluster_size);
    u64 *map = grab(8 * cluster_count);
    read_host(l1_table, 8 * (u64) entries, l1);
    for (u64 i = 0; i < cluster_count; i++) {
        if (i % per_table == 0) {
            u64 at = be64(l1_table + 8 * (i / per_table)) & 0x00fffffffffffe00;
            if (at == 0) {
                i += per_table - 1;
                continue;
            }
            read_host(table, cluster_size, at);
        }
        u64 entry = be64(table + 8 * (i % per_table));
        if (entry >> 62 & 1)
            fail("compressed clusters are not handled");
        map[i] = entry & 1 ? 0 : entry & 0x00fffffffffffe00;
    }
    host_of = map;
    free(l1_table);
    free(table);
}

/* The host ranges behind the free guest ranges, ascending as far as the image's own order is. */
static struct extents to_host(const struct extents *guest)
{
    if (!host_of)
        return *guest;
    struct extents host = { 0 };
    for (size_t i = 0; i < guest->count; i++) {
        u64 at = guest->list[i].start, end = at + guest->list[i].length;
        while (at < end) {
            u64 cluster = at / cluster_size, within = at % cluster_size, part = cluster_size - within;
            if (part > end - at)
                part = end - at;
            if (cluster < cluster_count && host_of[cluster])
                add(&host, host_of[cluster] + within, part);
            at += part;
        }
    }
    return host;
}

/* ---- modes ---- */

static void read_list(struct extents *set, const char *path)
{
    FILE *file = fopen(path, "r");
    unsigned long long start, length;
    if (!file)
        fail("%s: %s", path, strerror(errno));
    while (fscanf(file, "%llu %llu", &start, &length) == 2)
        add(set, start, length);
    fclose(file);
}

static u64 host_bytes(void)
{
    struct stat status;
    if (fstat(image, &status))
        fail("fstat: %s", strerror(errno));
    return (u64) status.st_blocks * 512;
}

static u64 stale_bytes(struct extents *free_ranges)
{
    enum { BATCH = 512 };
    struct fiemap *map = grab(sizeof *map + BATCH * sizeof *map->fm_extents);
    u64 at = 0, stale = 0;
    size_t i = 0;
    qsort(free_ranges->list, free_ranges->count, sizeof *free_ranges->list, by_start);
    for (int last = 0; !last;) {
        memset(map, 0, sizeof *map);
        map->fm_start = at;
        map->fm_length = FIEMAP_MAX_OFFSET - at;
        map->fm_flags = FIEMAP_FLAG_SYNC;
        map->fm_extent_count = BATCH;
        if (ioctl(image, FS_IOC_FIEMAP, map))
            fail("FIEMAP: %s", strerror(errno));
        if (map->fm_mapped_extents == 0)
            break;
        for (unsigned e = 0; e < map->fm_mapped_extents; e++) {
            u64 from = map->fm_extents[e].fe_logical, to = from + map->fm_extents[e].fe_length;
            last |= map->fm_extents[e].fe_flags & FIEMAP_EXTENT_LAST;
            at = to;
            while (i < free_ranges->count && free_ranges->list[i].start + free_ranges->list[i].length <= from)
                i++;
            for (size_t k = i; k < free_ranges->count && free_ranges->list[k].start < to; k++) {
                u64 s = free_ranges->list[k].start, t = s + free_ranges->list[k].length;
                stale += (t < to ? t : to) - (s > from ? s : from);
            }
        }
    }
    free(map);
    return stale;
}

int main(int argc, char **argv)
{
    static const char *const modes[] = { "volumes", "scan", "list", "punch", "stale" };
    enum { VOLUMES, SCAN, LIST, PUNCH, STALE } mode = 0;
    while (argc >= 3 && mode <= STALE && strcmp(argv[1], modes[mode]) != 0)
        mode++;
    if (argc < 3 || argc > 3 + (mode == STALE) || mode > STALE) {
        fprintf(stderr, "usage: floor volumes|scan|list|punch|stale IMAGE, or floor stale IMAGE FREE-LIST\n"
            "punch checks nothing before it destroys: only for images that bench/workloads.sh made\n");
        return 2;
    }
    image = open(argv[2], mode == PUNCH ? O_RDWR : O_RDONLY);
    if (image < 0)
        fail("%s: %s", argv[2], strerror(errno));

    double begin = seconds();
    u8 header[104];
    read_host(header, sizeof header, 0);
    if (memcmp(header, "QFI\xfb", 4) == 0)
        open_qcow2(header);
    struct volume volumes[128];
    int count = argc == 4 ? 0 : find_volumes(volumes, 128);
    if (mode == VOLUMES) {
        for (int i = 0; i < count; i++)
            printf("%d %s %llu %llu\n", i, volumes[i].type, (unsigned long long) volumes[i].start,
                (unsigned long long) volumes[i].length);
        return 0;
    }
    struct extents free_ranges = { 0 };
    if (argc == 4)
        read_list(&free_ranges, argv[3]);
    for (int i = 0; i < count && argc == 3; i++) {
        if (strcmp(volumes[i].type, "ext") == 0)
            ext_free(&free_ranges, volumes[i].start);
        else if (strcmp(volumes[i].type, "ntfs") == 0)
            ntfs_free(&free_ranges, volumes[i].start);
    }
    double scanned = seconds();

    if (mode == LIST) {
        for (size_t i = 0; i < free_ranges.count; i++)
            printf("%llu %llu\n", (unsigned long long) free_ranges.list[i].start,
                (unsigned long long) free_ranges.list[i].length);
        return 0;
    }
    struct extents ranges = to_host(&free_ranges);
    if (mode == STALE) {
        printf("%llu\n", (unsigned long long) stale_bytes(&ranges));
        return 0;
    }
    printf("free_extents=%zu free_bytes=%llu bytes_read=%llu reads=%llu scan_s=%.4f\n", free_ranges.count,
        (unsigned long long) free_ranges.bytes, (unsigned long long) bytes_read, (unsigned long long) reads,
        scanned - begin);
    if (mode == PUNCH) {
        u64 before = host_bytes();
        double punching = seconds();
        for (size_t i = 0; i < ranges.count; i++)
            if (fallocate(image, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t) ranges.list[i].start,
                (off_t) ranges.list[i].length))
                fail("fallocate: %s", strerror(errno));
        double punched = seconds();
        if (fsync(image))
            fail("fsync: %s", strerror(errno));
        printf("punches=%zu punch_s=%.4f fsync_s=%.4f host_before=%llu host_after=%llu\n", ranges.count,
            punched - punching, seconds() - punched, (unsigned long long) before, (unsigned long long) host_bytes());
    }
    return 0;
}
