package io.lacuna.fs.ntfs;

import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.UnsafeException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** $LogFile: whether Windows let go of the volume properly. */
final class LogFile {

    static final String SHUT_DOWN = "start the guest and shut it down fully (shutdown /s /f /t 0, which leaves out "
            + "fast start-up), or run \"chkdsk /f\" on this volume there";

    /** What follows for a volume that NTFS-3G may have been the last to write to. */
    static final String WITHOUT_MARK = "NTFS-3G keeps no journal and sets no dirty flag, so a crash under it leaves no mark: "
            + "$Bitmap was compared with all file records. An image that is based on this one and stands somewhere else must be "
            + "named (--children).";

    /** The most that Windows makes of it, in bytes. */
    private static final long MAX_SIZE = 4L << 30;

    private LogFile() {
    }

    /**
     * What is known about a log that raised no doubt.
     *
     * @param evidence a short phrase
     * @param remarks sentences
     * @param rest what is still to be looked at of a log without a journal; null if there is one
     */
    record Verdict(String evidence, List<String> remarks, ErasedLog rest) {

        /** @return whether there is no journal that could tell of a crash */
        boolean erased() {
            return rest != null;
        }

        /**
         * NTFS-3G keeps no journal: it leaves an erased one, or that of a Windows that was shut down, as it is. The comparison
         * with the file records shows what a guest that boots will see, not what one that runs on still holds in memory.
         *
         * @param foreignRecord a file record that no Windows has written; -1 if there is none
         * @throws UnsafeException if nothing tells that the volume was dismounted
         */
        void requireUnmounted(long foreignRecord) throws UnsafeException {
            if (erased() || foreignRecord >= 0) {
                throw new UnsafeException((erased() ? "the journal ($LogFile) of this NTFS volume is empty, as mkntfs and NTFS-3G "
                        + "leave it" : "this NTFS volume has a file that no Windows has written (MFT record " + foreignRecord
                        + "), and NTFS-3G leaves the journal as it is") + ", so that nothing tells whether it was mounted when the "
                        + "images that are based on this one were made: their guests may use what it calls free");
            }
        }

        /** Must be called before the verdict counts. @throws UnsafeException if the log raises doubt after all */
        void finish() throws IOException {
            if (rest != null) {
                rest.finish();
            }
        }
    }

    /**
     * Decides by the restart page with the higher current LSN.
     *
     * @throws UnsafeException if the log is in use, of another version than a clean dismount leaves, or no log at all
     */
    static Verdict requireClean(NtfsStream log) throws IOException {
        if (log.dataSize() > MAX_SIZE) {
            throw new CorruptException("$LogFile: size", -1, "at most " + MAX_SIZE, log.dataSize());
        }
        int length = (int) Math.min(log.validSize(), 2L * RestartPage.MAX_SYSTEM_PAGE_SIZE);
        ByteBuffer head = log.read(0, length);
        if (length > 0 && ErasedLog.isErased(head)) {
            return erased(log, length);
        }
        List<String> remarks = new ArrayList<>();
        RestartPage current = current(head, log.position(0), remarks);
        if (!current.isDismounted()) {
            throw new UnsafeException("the journal ($LogFile) of this NTFS volume has version " + current.version()
                    + ", where a clean dismount leaves 1.1: the guest lost its power, is hibernated, or was shut down with "
                    + "fast start-up; " + SHUT_DOWN);
        }
        if (!current.isClosed()) {
            throw new UnsafeException("the journal ($LogFile) of this NTFS volume is still in use: the guest was not shut "
                    + "down cleanly; " + SHUT_DOWN);
        }
        return new Verdict("$LogFile closed cleanly (version " + current.version() + ")", remarks, null);
    }

    private static RestartPage current(ByteBuffer head, long position, List<String> remarks) throws UnsafeException {
        Optional<RestartPage> first = RestartPage.startsAt(head, 0)
                ? RestartPage.parse(head, 0, position) : Optional.empty();
        Optional<RestartPage> second = second(head, position, first);
        if (first.isEmpty() && second.isEmpty()) {
            throw new UnsafeException("the journal ($LogFile) of this NTFS volume has no readable restart page and "
                    + "is not erased either; " + SHUT_DOWN);
        }
        if (first.isEmpty() || second.isEmpty()) {
            remarks.add("One of the two restart pages of $LogFile is damaged; the other one counts.");
            return first.or(() -> second).orElseThrow();
        }
        int order = Long.compare(first.get().currentLsn(), second.get().currentLsn());
        if (order == 0) {
            // Of two that are equally new, the one that raises doubt counts.
            return first.get().isDismounted() && first.get().isClosed() ? second.get() : first.get();
        }
        return order > 0 ? first.get() : second.get();
    }

    /** The second page starts where the first ends; if that is not known, its own size must put it where it is. */
    private static Optional<RestartPage> second(ByteBuffer head, long position, Optional<RestartPage> first) {
        int from = first.map(RestartPage::systemPageSize).orElse(RestartPage.MIN_SYSTEM_PAGE_SIZE);
        int to = first.map(RestartPage::systemPageSize).orElse(RestartPage.MAX_SYSTEM_PAGE_SIZE);
        for (int at = from; at <= to; at *= 2) {
            if (RestartPage.startsAt(head, at)) {
                return RestartPage.parse(head, at, position);
            }
        }
        return Optional.empty();
    }

    /** @param checked bytes from the start that are 0xFF */
    private static Verdict erased(NtfsStream log, int checked) {
        return new Verdict("$LogFile erased (no journal in use)", List.of("The journal ($LogFile) is empty, as mkntfs and "
                + "NTFS-3G leave it. " + WITHOUT_MARK), new ErasedLog(log, checked));
    }
}
