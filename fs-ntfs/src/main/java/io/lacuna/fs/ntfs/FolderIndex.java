package io.lacuna.fs.ntfs;

import io.lacuna.blockio.Bytes;
import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.UnsupportedException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.Deque;
import java.util.List;

/**
 * The names in a folder: a B-tree whose root is in the file record ($INDEX_ROOT) and whose other blocks are a stream of
 * their own ($INDEX_ALLOCATION), little-endian. Walks the whole tree: the order of names depends on a table of the volume, so
 * a search would trust more than it need to. Source: libfsntfs, "Index" chapters.
 */
final class FolderIndex {

    private static final String NAME = "$I30";
    /** Ours: some ten million names in one folder. */
    private static final int MAX_BLOCKS = 1 << 18;

    /** Ours: one name has one entry; on volumes that tell case apart there may be a few. */
    static final int MAX_FOUND = 64;

    private static final int ROOT_TYPE = 0x00;              // u32, the attribute that is indexed
    private static final int FILE_NAME = 0x30;
    private static final int ROOT_BLOCK_SIZE = 0x08;        // u32
    private static final int ROOT_NODE = 0x10;

    private static final int BLOCK_VCN = 0x10;              // u64
    private static final int BLOCK_NODE = 0x18;

    // In a node's header, which offsets count from:
    private static final int ENTRIES_OFFSET = 0x00;         // u32
    private static final int ENTRIES_END = 0x04;            // u32
    private static final int NODE_HEADER_SIZE = 0x10;

    private static final int ENTRY_REFERENCE = 0x00;        // u64
    private static final int ENTRY_LENGTH = 0x08;           // u16
    private static final int ENTRY_KEY_LENGTH = 0x0A;       // u16
    private static final int ENTRY_FLAGS = 0x0C;            // u16
    private static final int ENTRY_KEY = 0x10;
    private static final int HAS_CHILD = 0x0001;            // a VCN in the entry's last 8 bytes
    private static final int IS_LAST = 0x0002;              // an entry without a name
    private static final int KEY_NAME_LENGTH = 0x40;        // u8, UTF-16 characters
    private static final int KEY_NAME = 0x42;

    private final String wanted;
    private final List<Long> found = new ArrayList<>();
    private final Deque<Long> children = new ArrayDeque<>();

    private FolderIndex(String wanted) {
        this.wanted = wanted;
    }

    /**
     * @param name compared without regard to case
     * @return the references of all entries of that name; of {@link #MAX_FOUND} there may be more
     * @throws CorruptException if any part of the index cannot be read or contradicts itself
     */
    static List<Long> find(MasterFileTable mft, FileRecord folder, String name, NtfsBootSector boot) throws IOException {
        List<Attribute> roots = mft.pieces(folder, Attribute.INDEX_ROOT, NAME);
        if (roots.size() != 1 || !roots.get(0).isResident()) {
            throw new CorruptException(folder.describe() + ": $INDEX_ROOT", folder.bytes().position(0),
                    "one, inside of its record", roots.size());
        }
        Bytes root = roots.get(0).value();
        if (root.u32(ROOT_TYPE) != FILE_NAME) {
            throw root.corrupt(folder.describe() + ": what its index holds", ROOT_TYPE, "names",
                    NtfsBootSector.hex(root.u32(ROOT_TYPE)));
        }
        if (root.u32(ROOT_BLOCK_SIZE) != boot.indexBlockSize()) {
            throw root.corrupt(folder.describe() + ": size of an index block", ROOT_BLOCK_SIZE,
                    boot.indexBlockSize() + " as in the boot sector", root.u32(ROOT_BLOCK_SIZE));
        }
        FolderIndex index = new FolderIndex(name);
        index.readNode(root.slice(ROOT_NODE, root.length() - ROOT_NODE));
        if (!index.children.isEmpty()) {
            index.readBlocks(mft.stream(folder, Attribute.INDEX_ALLOCATION, NAME), boot);
        }
        return index.found;
    }

    private void readBlocks(NtfsStream blocks, NtfsBootSector boot) throws IOException {
        int size = boot.indexBlockSize();
        long count = blocks.validSize() / size;
        if (count > MAX_BLOCKS) {
            throw new UnsupportedException("the root folder of this NTFS volume holds too many names to look through all: "
                    + count + " index blocks, where Lacuna reads up to " + MAX_BLOCKS);
        }
        // A block's VCN counts clusters, or sectors of 512 bytes where a cluster is larger than a block.
        int vcnSize = boot.clusterSize() <= size ? boot.clusterSize() : Fixup.STRIDE;
        blocks.prefetch(blocks.validSize());
        BitSet visited = new BitSet((int) count);
        ByteBuffer buffer = ByteBuffer.allocate(size);
        // Ends after every block was visited once: there is no second visit.
        while (!children.isEmpty()) {
            long vcn = children.pop();
            if (vcn > blocks.validSize() / vcnSize || vcn * vcnSize % size != 0 || vcn * vcnSize / size >= count) {
                throw new CorruptException(blocks.what() + ": number of an index block", -1,
                        "one of " + count + " blocks", vcn);
            }
            int block = (int) (vcn * vcnSize / size);
            if (visited.get(block)) {
                throw new CorruptException(blocks.what() + ": index block " + vcn, blocks.position(vcn * vcnSize),
                        "to be met once", "a second entry that leads to it");
            }
            visited.set(block);
            blocks.read(vcn * vcnSize, buffer.clear());
            readBlock(buffer.flip(), vcn, blocks.position(vcn * vcnSize));
        }
    }

    private void readBlock(ByteBuffer buffer, long vcn, long position) throws IOException {
        Bytes raw = Bytes.littleEndian(buffer, position);
        if (!raw.matches(0, "INDX")) {
            throw raw.corrupt("NTFS index block: signature", 0, "\"INDX\"", "something else");
        }
        Bytes block = Fixup.apply("NTFS index block", buffer, position);
        if (block.s64(BLOCK_VCN) != vcn) {
            throw block.corrupt("NTFS index block: its own number", BLOCK_VCN, vcn + "", block.s64(BLOCK_VCN));
        }
        readNode(block.slice(BLOCK_NODE, block.length() - BLOCK_NODE));
    }

    private void readNode(Bytes node) throws CorruptException {
        long at = node.u32(ENTRIES_OFFSET);
        long end = node.u32(ENTRIES_END);
        if (at < NODE_HEADER_SIZE || end > node.length() || at > end) {
            throw node.corrupt("NTFS index: place of the entries", ENTRIES_OFFSET, "inside the node", at + " to " + end);
        }
        // Ends with the node: every entry is at least ENTRY_KEY bytes long.
        while (true) {
            Bytes rest = node.slice((int) at, (int) (end - at));
            int length = rest.u16(ENTRY_LENGTH);
            int flags = rest.u16(ENTRY_FLAGS);
            int keyLength = rest.u16(ENTRY_KEY_LENGTH);
            boolean hasChild = (flags & HAS_CHILD) != 0;
            boolean isLast = (flags & IS_LAST) != 0;
            if (length < ENTRY_KEY + (hasChild ? Long.BYTES : 0) || length > rest.length() || length % 8 != 0) {
                throw rest.corrupt("NTFS index: length of an entry", ENTRY_LENGTH, "a multiple of 8 inside the node", length);
            }
            if (hasChild) {
                if (children.size() == MAX_BLOCKS) {
                    throw rest.corrupt("NTFS index: blocks of names", length - Long.BYTES, "at most " + MAX_BLOCKS, "more");
                }
                children.push(rest.u64(length - Long.BYTES));
            }
            if (isLast) {
                return;
            }
            if (keyLength > length - ENTRY_KEY - (hasChild ? Long.BYTES : 0)) {
                throw rest.corrupt("NTFS index: length of a name", ENTRY_KEY_LENGTH, "inside the entry", keyLength);
            }
            Bytes key = rest.slice(ENTRY_KEY, keyLength);
            if (found.size() < MAX_FOUND && Attribute.utf16(key, KEY_NAME, key.u8(KEY_NAME_LENGTH)).equalsIgnoreCase(wanted)) {
                found.add(rest.s64(ENTRY_REFERENCE));
            }
            at += length;
        }
    }
}
