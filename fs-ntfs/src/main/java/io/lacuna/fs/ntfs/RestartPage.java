package io.lacuna.fs.ntfs;

import io.lacuna.blockio.Bytes;
import io.lacuna.blockio.CorruptException;
import java.nio.ByteBuffer;
import java.util.Optional;

/**
 * A restart page of $LogFile: one of two, each a system page long, little-endian. Source: libfsntfs, "The log file"; names as
 * in NTFS-3G's logfile.h.
 *
 * @param systemPageSize bytes; the second restart page starts here
 * @param currentLsn log sequence number: of two pages, the one with the higher one counts
 * @param clientsInUse first entry of the list of clients that have the log open; {@link #NO_CLIENT} if nobody has
 */
record RestartPage(int systemPageSize, int majorVersion, int minorVersion, long currentLsn, int clientsInUse, int flags) {

    static final int MIN_SYSTEM_PAGE_SIZE = 512;
    static final int MAX_SYSTEM_PAGE_SIZE = 64 << 10;
    static final int NO_CLIENT = 0xFFFF;

    private static final int SYSTEM_PAGE_SIZE = 0x10;   // u32
    private static final int RESTART_OFFSET = 0x18;     // u16
    private static final int MINOR_VERSION = 0x1A;      // s16
    private static final int MAJOR_VERSION = 0x1C;      // s16
    private static final int HEADER_SIZE = 0x1E;
    // In the restart area:
    private static final int CURRENT_LSN = 0x00;        // s64
    private static final int CLIENTS = 0x08;            // u16
    private static final int CLIENTS_IN_USE = 0x0C;     // u16
    private static final int FLAGS = 0x0E;              // u16
    private static final int AREA_SIZE = 0x30;

    private static final int VOLUME_IS_CLEAN = 0x0002;

    /** @return whether the signature of a restart page ("RSTR", or "CHKD" if chkdsk changed it) stands at this byte */
    static boolean startsAt(ByteBuffer log, int at) {
        Bytes bytes = Bytes.littleEndian(log.duplicate().position(0), 0);
        return bytes.matches(at, "RSTR") || bytes.matches(at, "CHKD");
    }

    /**
     * @param log the log's first bytes, from index 0; the page's fix-ups are applied in place
     * @param at where the page starts
     * @param position where {@code log} lies on the volume, in bytes
     * @return the page; empty if it is torn or contradicts itself, so that it does not count
     */
    static Optional<RestartPage> parse(ByteBuffer log, int at, long position) {
        try {
            return Optional.of(parseValid(log, at, position));
        } catch (CorruptException theOtherPageCounts) {
            return Optional.empty();
        }
    }

    private static RestartPage parseValid(ByteBuffer log, int at, long position) throws CorruptException {
        Bytes head = Bytes.littleEndian(log.duplicate().position(at), position + at);
        long pageSize = head.u32(SYSTEM_PAGE_SIZE);
        if (pageSize < MIN_SYSTEM_PAGE_SIZE || pageSize > MAX_SYSTEM_PAGE_SIZE || Long.bitCount(pageSize) != 1
                || pageSize > log.limit() - at || at != 0 && at != pageSize) {
            throw head.corrupt("$LogFile: system page size", SYSTEM_PAGE_SIZE, "a power of two", pageSize);
        }
        Bytes page = Fixup.apply("$LogFile: restart page", log.slice(at, (int) pageSize), position + at);
        int restartOffset = page.u16(RESTART_OFFSET);
        if (restartOffset < HEADER_SIZE || restartOffset % 8 != 0) {
            throw page.corrupt("$LogFile: place of the restart area", RESTART_OFFSET, "behind the header", restartOffset);
        }
        Bytes area = page.slice(restartOffset, AREA_SIZE);
        int clients = area.u16(CLIENTS);
        int inUse = area.u16(CLIENTS_IN_USE);
        if (inUse != NO_CLIENT && inUse >= clients) {
            throw area.corrupt("$LogFile: list of clients", CLIENTS_IN_USE, "one of " + clients, inUse);
        }
        return new RestartPage((int) pageSize, page.u16(MAJOR_VERSION), page.u16(MINOR_VERSION), area.u64(CURRENT_LSN),
                inUse, area.u16(FLAGS));
    }

    /** @return whether nobody has the log open: nothing would be replayed */
    boolean isClosed() {
        return clientsInUse == NO_CLIENT || (flags & VOLUME_IS_CLEAN) != 0;
    }

    /**
     * @return whether this is the version that a clean dismount goes back to. Windows 8 and later raise it to 2.0 while they
     *     have the volume mounted
     */
    boolean isDismounted() {
        return majorVersion == 1 && minorVersion == 1;
    }

    String version() {
        return (short) majorVersion + "." + (short) minorVersion;
    }
}
