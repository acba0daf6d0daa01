package io.lacuna.fs.ntfs;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.Bytes;
import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.FileSystem;
import io.lacuna.blockio.FreeSpace;
import io.lacuna.blockio.UnsupportedException;
import io.lacuna.blockio.VolumeOptions;
import java.io.IOException;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/** An NTFS volume whose boot sector and first file record are sound. */
final class NtfsFileSystem implements FileSystem {

    static final String TYPE = "ntfs";
    private static final int HEAD_SIZE = 8192;  // boot sector, boot code and the VSS header

    private final BlockSource volume;
    private final NtfsBootSector boot;
    private final MasterFileTable mft;
    private final String label;
    private final VolumeOptions options;

    private NtfsFileSystem(BlockSource volume, NtfsBootSector boot, MasterFileTable mft, String label,
            VolumeOptions options) {
        this.volume = volume;
        this.boot = boot;
        this.mft = mft;
        this.label = label;
        this.options = options;
    }

    static NtfsFileSystem open(BlockSource volume, VolumeOptions options) throws IOException {
        volume.prefetch(0, HEAD_SIZE);
        Bytes sector = Bytes.read(volume, "NTFS boot sector", 0, NtfsBootSector.SIZE, ByteOrder.LITTLE_ENDIAN);
        NtfsBootSector boot = NtfsBootSector.parse(sector, volume.size());
        MasterFileTable mft = MasterFileTable.open(volume, boot);
        return new NtfsFileSystem(volume, boot, mft, label(mft), options);
    }

    private static String label(MasterFileTable mft) throws IOException {
        try {
            return VolumeInformation.parse(mft.record(FileRecord.VOLUME)).label();
        } catch (DiskFormatException reportedByFreeSpace) {
            return "";
        }
    }

    @Override
    public String type() {
        return TYPE;
    }

    @Override
    public String label() {
        return label;
    }

    @Override
    public long clusterSize() {
        return boot.clusterSize();
    }

    @Override
    public long length() {
        return boot.length();
    }

    @Override
    public FreeSpace freeSpace() throws IOException {
        try {
            return proven();
        } catch (CorruptException e) {
            throw NtfsProbe.withAdvice(e);
        }
    }

    private FreeSpace proven() throws IOException {
        List<String> evidence = new ArrayList<>();
        List<String> remarks = new ArrayList<>();
        // First of all: this doubt is the only one that reaches beyond the volume, so no other may hide it.
        String hibernation = Hibernation.requireNone(mft, boot);

        VolumeInformation information = VolumeInformation.parse(mft.record(FileRecord.VOLUME));
        information.requireClean();
        evidence.add("NTFS " + information.majorVersion() + "." + information.minorVersion() + " with volume flags "
                + NtfsBootSector.hex(information.flags()) + ": not dirty");
        NtfsStream bitmap = bitmap();
        bitmap.prefetch(bitmap.dataSize());
        // Before an erased journal, which is larger, and which nothing waits for before the end.
        mft.prefetch();
        LogFile.Verdict log = LogFile.requireClean(mft.stream(mft.record(FileRecord.LOG_FILE), Attribute.DATA, ""));
        FreeSpace space;
        try {
            if (options.runsOn()) {
                log.requireUnmounted(-1);
            }
            space = proven(log, information, hibernation, bitmap, evidence, remarks);
        } catch (IOException | RuntimeException e) {
            // A doubtful journal is the better reason: it tells what to do.
            log.finish();
            throw e;
        }
        log.finish();
        return space;
    }

    private FreeSpace proven(LogFile.Verdict log, VolumeInformation information, String hibernation, NtfsStream bitmap,
            List<String> evidence, List<String> remarks) throws IOException {
        evidence.add(log.evidence());
        remarks.addAll(log.remarks());
        evidence.add(hibernation);
        SystemFiles system = new SystemFiles(mft, boot);
        evidence.add(system.requireMirror());
        remarkOnBackup(remarks);

        BitmapReader reader = new BitmapReader(bitmap, boot.clusterCount(), BitmapReader.MAX_RANGES);
        ExtentSet free = reader.read();
        evidence.add(system.requireUsed(information, free));
        if (reader.believedSize() * 8 < boot.clusterCount()) {
            remarks.add("$Bitmap speaks for " + reader.believedSize() * 8 + " of " + boot.clusterCount()
                    + " clusters only; the others count as in use.");
        }
        if (reader.minimumLength() > boot.clusterSize()) {
            remarks.add("The free space is in more than " + BitmapReader.MAX_RANGES + " pieces; those of less than "
                    + reader.minimumLength() + " bytes were left out. Defragmenting the volume in the guest helps.");
        }
        ShadowCopies.Verdict shadows = ShadowCopies.judge(volume, free, landmarks());
        evidence.add(shadows.evidence());
        crossCheck(free, log, evidence, remarks);
        ExtentSet kept = free.minus(shadows.free());
        if (kept.isEmpty()) {
            return new FreeSpace(free, evidence, remarks);
        }
        remarks.add("Free clusters that a shadow copy may still need were kept; once the shadow copies are deleted in the guest "
                + "(vssadmin delete shadows /all), they can go.");
        return new FreeSpace(shadows.free(), List.of(new FreeSpace.Kept("still needed by a shadow copy", kept)), evidence,
                remarks);
    }

    /** Always: NTFS-3G may have been the last to write, and leaves no mark of a crash, not even in the journal of a Windows. */
    private void crossCheck(ExtentSet free, LogFile.Verdict log, List<String> evidence, List<String> remarks) throws IOException {
        long start = System.nanoTime();
        RecordWalk.Summary walked = new RecordWalk(mft, boot, free).run();
        evidence.add("cross-checked: " + walked.records() + " file records with " + walked.runs() + " data runs, "
                + walked.bytes() + " bytes, none of them free");
        evidence.add("the cross-check took " + (System.nanoTime() - start) / 1_000_000 + " ms");
        if (walked.foreignRecord() >= 0 && options.runsOn()) {
            log.requireUnmounted(walked.foreignRecord());
        }
        if (walked.foreignRecord() >= 0 && !log.erased()) {
            remarks.add("The volume has a file that no Windows has written (MFT record " + walked.foreignRecord() + "). "
                    + LogFile.WITHOUT_MARK);
        }
    }

    /** Bytes that were in use on any day: hardly anything ever moves these three. */
    private Set<Long> landmarks() {
        return new HashSet<>(List.of(0L, boot.mftCluster() * boot.clusterSize(), boot.mirrorCluster() * boot.clusterSize()));
    }

    private NtfsStream bitmap() throws IOException {
        FileRecord record = mft.record(FileRecord.BITMAP);
        NtfsStream bitmap = mft.stream(record, Attribute.DATA, "");
        if ((bitmap.flags() & (Attribute.COMPRESSED | Attribute.ENCRYPTED)) != 0) {
            throw new UnsupportedException("$Bitmap of this NTFS volume is compressed or encrypted, which Windows never does");
        }
        // Windows and mkntfs round the bitmap up to 8 bytes. A larger one belongs to a larger volume than the boot sector's.
        long largest = (boot.clusterCount() + 63) / 64 * 8;
        if (bitmap.dataSize() > largest) {
            throw new CorruptException(record.describe() + ": size", record.bytes().position(0),
                    "at most " + largest + " bytes for " + boot.clusterCount() + " clusters", bitmap.dataSize());
        }
        return bitmap;
    }

    /** The backup is for repairs: nothing is read from it, so a difference stops nothing. */
    private void remarkOnBackup(List<String> remarks) throws IOException {
        if (boot.backupOffset() > volume.size() - NtfsBootSector.SIZE) {
            remarks.add("The volume ends before the place of the NTFS backup boot sector.");
            return;
        }
        byte[] primary = fields(0);
        byte[] backup = fields(boot.backupOffset());
        if (!Arrays.equals(primary, backup)) {
            remarks.add("The NTFS backup boot sector differs from the boot sector.");
        }
    }

    private byte[] fields(long offset) throws IOException {
        Bytes sector = Bytes.read(volume, "NTFS boot sector", offset, NtfsBootSector.SIZE, ByteOrder.LITTLE_ENDIAN);
        return sector.copy(NtfsBootSector.FIELDS_AT, NtfsBootSector.FIELDS_END - NtfsBootSector.FIELDS_AT);
    }
}
