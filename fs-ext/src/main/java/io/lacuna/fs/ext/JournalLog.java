package io.lacuna.fs.ext;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.Bytes;
import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.Crc32c;
import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.UnsupportedException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * The log of a journal, read once from its first transaction to the end of the last complete one: big-endian blocks with a
 * header of magic, type and transaction number. Decides as the kernel does where the log ends, and refuses where the kernel would
 * not mount: a transaction that is damaged, and not merely cut. Source: kernel documentation {@code filesystems/ext4/journal}.
 */
final class JournalLog {

    private static final int DESCRIPTOR = 1;
    private static final int COMMIT = 2;
    private static final int REVOKE = 5;

    private static final int REVOKE_HEADER = 16;
    private static final int COMMIT_HEADER = 60;
    private static final int CRC32 = 1;

    private final JournalSuperblock superblock;
    private final JournalBlocks blocks;
    private final FileBlocks places;
    private final long blockCount;
    private final JournalTags tags;
    private final int seed;
    /** A copy of the block that heads the others, for those are read into the place it was in. */
    private final ByteBuffer head;

    /** Logged blocks of complete transactions: the block of the journal, and whether it is escaped. */
    private final JournalEntries logged = new JournalEntries();
    private final JournalEntries revoked = new JournalEntries();
    /** The same of the transaction that is being read. */
    private final JournalEntries open = new JournalEntries();
    private final JournalEntries openRevoked = new JournalEntries();
    /** Those of complete transactions and of one that is cut behind them; the same list if none is. */
    private JournalEntries versions = logged;
    /** Every block that is named at all, complete or not. */
    private final Ranges named = new Ranges("blocks that the journal names");

    private long position;
    private long left;
    private int transaction;
    private int transactions;
    private long lastCommitTime;
    /** Whether a descriptor or revoke block has a wrong checksum: what is left of an earlier use of these blocks, or damage. */
    private boolean suspicious;
    /** What is wrong with the transaction that is being read, if it should turn out to be complete; null if nothing. */
    private DiskFormatException damage;
    /** Whether a transaction's commit block came before its other blocks, which ASYNC_COMMIT allows of the last one. */
    private boolean interrupted;
    private int interruptedTransaction;
    private int crc32 = ~0;

    private JournalLog(BlockSource volume, Superblock fileSystem, Journal journal) {
        superblock = journal.superblock();
        blocks = new JournalBlocks(volume, journal);
        places = journal.blocks();
        blockCount = fileSystem.blockCount();
        tags = new JournalTags(superblock);
        seed = superblock.checksumSeed();
        head = ByteBuffer.allocate(superblock.blockSize()).order(ByteOrder.BIG_ENDIAN);
    }

    /**
     * @param journal one that can be replayed
     * @throws DiskFormatException if it cannot be told what a replay would do
     */
    static JournalLog read(BlockSource volume, Superblock fileSystem, Journal journal) throws IOException {
        JournalLog log = new JournalLog(volume, fileSystem, journal);
        log.position = log.superblock.start();
        log.transaction = (int) log.superblock.sequence();
        log.left = log.superblock.logEnd() - log.superblock.first();
        if (!log.superblock.isEmpty()) {
            while (log.readHead()) {
                // The next one.
            }
        }
        log.addNames(log.open);
        log.addNames(log.openRevoked);
        if (log.open.count() > 0) {
            log.versions = new JournalEntries();
            log.versions.addAll(log.logged);
            log.versions.addAll(log.open);
            log.versions.sort();
        }
        log.revoked.sort();
        log.logged.sort();
        return log;
    }

    /** @return the number of complete transactions */
    int transactions() {
        return transactions;
    }

    /** @return the number of the transaction behind the last complete one */
    int nextTransaction() {
        return interrupted ? interruptedTransaction : transaction;
    }

    /** @return every block that the journal names, as bytes of the volume, revoked ones and those of a cut transaction included */
    Ranges named() {
        return named;
    }

    /** @return the number of blocks that a transaction revoked and no later one logged again */
    int revokedBlocks() {
        int count = 0;
        for (int i = 0; i < revoked.count(); i++) {
            int at = logged.findLast(revoked.block(i));
            count += revoked.isLast(i) && (at < 0 || isRevoked(at)) ? 1 : 0;
        }
        return count;
    }

    /** @return what a replay writes, by block: the block of the journal, and {@link ReplayedVolume#ESCAPED} */
    JournalEntries replayed() throws IOException {
        JournalEntries replayed = new JournalEntries();
        for (int i = 0; i < logged.count(); i++) {
            if (logged.isLast(i) && !isRevoked(i)) {
                replayed.add(logged.block(i), logged.value(i), logged.transaction(i));
            }
        }
        replayed.sort();
        return replayed;
    }

    /**
     * @return all that complete transactions logged, and what a cut one behind them did, for another kernel might find it complete:
     *     in the order of the blocks, every version of them and revoked or not
     */
    JournalEntries versions() {
        return versions;
    }

    /** A revoke hides what its own transaction and those before it logged, not what comes later. */
    private boolean isRevoked(int entry) {
        int at = revoked.findLast(logged.block(entry));
        return at >= 0 && logged.transaction(entry) - revoked.transaction(at) <= 0;
    }

    /** @return whether the log goes on */
    private boolean readHead() throws IOException {
        if (left <= 0) {
            return false;
        }
        long at = position;
        head.clear().put(blocks.read(next())).clear();
        if (head.getInt(0) != JournalSuperblock.MAGIC || head.getInt(8) != transaction) {
            return false;
        }
        switch (head.getInt(4)) {
            case DESCRIPTOR -> readDescriptor(at);
            case REVOKE -> readRevokes(at);
            case COMMIT -> {
                return endTransaction(at);
            }
            default -> {
                return false;
            }
        }
        return true;
    }

    private long next() {
        long current = position++;
        if (position >= superblock.logEnd()) {
            position = superblock.first();
        }
        left--;
        return current;
    }

    private void readDescriptor(long at) throws IOException {
        boolean sound = !superblock.hasBlockChecksums() || hasTailChecksum();
        suspicious |= !sound;
        if ((superblock.compat() & JournalSuperblock.CHECKSUM) != 0) {
            crc32 = Crc32BigEndian.update(crc32, head);
        }
        tags.begin(head);
        while (tags.next()) {
            if (left <= 0) {
                throw corrupt(at, "transaction " + number() + ": length", "less than the log has", "more");
            }
            long block = tags.blockNumber();
            if (block < 0 || block >= blockCount) {
                damage(corrupt(at, "transaction " + number() + ": block", "0 to " + (blockCount - 1),
                        Long.toUnsignedString(block)));
            } else if (sound) {
                open.add(block, (int) position | (tags.isEscaped() ? ReplayedVolume.ESCAPED : 0), transaction);
            }
            if (tags.hasUnknownFlags()) {
                damage(corrupt(at, "transaction " + number() + ": flags of block " + block, "none but 1, 2 and 8", "others"));
            }
            checkLogged(next());
        }
    }

    /** @param logical block of the journal with what the present tag names */
    private void checkLogged(long logical) throws IOException {
        boolean v1 = (superblock.compat() & JournalSuperblock.CHECKSUM) != 0;
        if (!v1 && !superblock.hasBlockChecksums()) {
            return;
        }
        ByteBuffer bytes = blocks.read(logical);
        if (v1) {
            crc32 = Crc32BigEndian.update(crc32, bytes);
        } else {
            int computed = Crc32c.update(Crc32c.update(seed, head.slice(8, 4)), bytes);
            if (!tags.hasChecksum(computed)) {
                damage(corrupt(logical, "transaction " + number() + ": checksum of block " + tags.blockNumber(), "another",
                        Superblock.hex(computed)));
            }
        }
    }

    private void readRevokes(long at) throws IOException {
        boolean sound = !superblock.hasBlockChecksums() || hasTailChecksum();
        suspicious |= !sound;
        if (!sound) {
            return;
        }
        int size = superblock.has(JournalSuperblock.SIXTY_FOUR_BIT) ? 8 : 4;
        long end = head.getInt(12) & 0xFFFF_FFFFL;
        int most = superblock.blockSize() - (superblock.hasBlockChecksums() ? JournalTags.TAIL : 0);
        if (end < REVOKE_HEADER || end > most) {
            damage(corrupt(at, "transaction " + number() + ": length of a revoke block", "16 to " + most, end));
            return;
        }
        for (int offset = REVOKE_HEADER; offset + size <= end; offset += size) {
            long block = size == 8 ? head.getLong(offset) : head.getInt(offset) & 0xFFFF_FFFFL;
            if (block < 0 || block >= blockCount) {
                damage(corrupt(at, "transaction " + number() + ": revoked block", "0 to " + (blockCount - 1),
                        Long.toUnsignedString(block)));
            } else {
                openRevoked.add(block, 0, transaction);
            }
        }
    }

    /** @return whether the log goes on */
    private boolean endTransaction(long at) throws IOException {
        long time = head.getLong(48);
        boolean stale = time < lastCommitTime;
        if (suspicious || !hasCommitChecksum()) {
            // Blocks of an earlier use of the journal can follow by chance; the kernel tells them by the time going back.
            if (stale) {
                return false;
            }
            if (suspicious || !superblock.has(JournalSuperblock.ASYNC_COMMIT)) {
                throw corrupt(at, "transaction " + number() + ": checksum", "another", "one that fails");
            }
            if (superblock.hasBlockChecksums() && hasPartialChecksum()) {
                throw new UnsupportedException("the last transaction of the file system's journal has a commit block that was "
                        + "written in part: newer kernels replay it, older ones do not. Start the guest and shut it down cleanly");
            }
            // Of two, Linux replays the first one, unseen.
            requireUninterrupted(at);
            interrupted = true;
            interruptedTransaction = transaction;
        } else {
            requireUninterrupted(at);
            if (damage != null) {
                throw damage;
            }
            logged.addAll(open);
            revoked.addAll(openRevoked);
            addNames(open);
            addNames(openRevoked);
            open.clear();
            openRevoked.clear();
            transactions++;
        }
        lastCommitTime = time;
        crc32 = ~0;
        transaction++;
        return true;
    }

    private void requireUninterrupted(long at) throws CorruptException {
        if (interrupted) {
            throw corrupt(at, "transaction " + number() + ": place", "none behind a transaction with a wrong checksum", "there");
        }
    }

    private void addNames(JournalEntries entries) throws IOException {
        for (int i = 0; i < entries.count(); i++) {
            named.add(entries.block(i) * superblock.blockSize(), superblock.blockSize());
        }
    }

    private boolean hasTailChecksum() {
        int at = superblock.blockSize() - JournalTags.TAIL;
        return hasChecksum(at);
    }

    /** @param at the field, which counts as 0 */
    private boolean hasChecksum(int at) {
        int stored = head.getInt(at);
        head.putInt(at, 0);
        int computed = Crc32c.update(seed, head);
        head.putInt(at, stored);
        return stored == computed;
    }

    private boolean hasCommitChecksum() {
        if (superblock.hasBlockChecksums()) {
            return hasChecksum(16);
        }
        if ((superblock.compat() & JournalSuperblock.CHECKSUM) == 0) {
            return true;
        }
        int stored = head.getInt(16);
        int type = head.get(12);
        int size = head.get(13);
        // A kernel without this option left the fields empty.
        return type == CRC32 && size == 4 && stored == crc32 || type == 0 && size == 0 && stored == 0;
    }

    /** Since 2024 Linux is content if the header is right and the rest of the block would be zeros. */
    private boolean hasPartialChecksum() {
        ByteBuffer header = ByteBuffer.allocate(head.capacity()).put(head.slice(0, COMMIT_HEADER)).clear();
        int stored = header.getInt(16);
        return stored == Crc32c.update(seed, header.putInt(16, 0));
    }

    private void damage(DiskFormatException found) {
        if (damage == null) {
            damage = found;
        }
    }

    private String number() {
        return Integer.toUnsignedString(transaction);
    }

    private CorruptException corrupt(long logical, String what, String expected, Object found) {
        return new CorruptException("ext journal, " + what + " (run e2fsck -f in the guest)",
                places.blockOf(logical) * superblock.blockSize(), expected, found);
    }
}
