package io.lacuna.cli;

import io.lacuna.blockio.ReclaimMode;
import io.lacuna.diskimage.DiskImages;
import io.lacuna.diskimage.write.OutputFormat;
import io.lacuna.engine.ReclaimOptions.Include;
import io.lacuna.engine.Reclaimer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import picocli.CommandLine.IFactory;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Model.PositionalParamSpec;

/**
 * Commands, options and their help. Written out rather than annotated, for reading annotations would cost every start some
 * tens of milliseconds.
 */
final class Syntax {

    static final Factory FACTORY = new Factory();
    static final String NAME = "lacuna";
    static final String INSPECT = "inspect";
    static final String RECLAIM = "reclaim";
    static final String COPY = "copy";
    static final String UNDO = "undo";
    static final String VERIFY = "verify";
    static final String KEYGEN = "keygen";
    private static final List<String> COMMANDS = List.of(INSPECT, RECLAIM, COPY, UNDO, VERIFY, KEYGEN);

    /** Makes what picocli knows by its class only: lists, for options that may come several times. */
    static final class Factory implements IFactory {
        @Override
        public <K> K create(Class<K> type) throws ReflectiveOperationException {
            return type.isAssignableFrom(ArrayList.class) ? type.cast(new ArrayList<>())
                    : type.getDeclaredConstructor().newInstance();
        }
    }

    private Syntax() {
    }

    static CommandSpec command() {
        CommandSpec spec = newSpec().name(NAME).version("lacuna " + Reclaimer.VERSION);
        spec.addOption(help());
        spec.addOption(OptionSpec.builder("-V", "--version").versionHelp(true).description("Show the version and exit.").build());
        spec.usageMessage()
                .description("Gives the free space inside offline virtual disks back to the host: in place, without "
                        + "mounting anything or starting a guest.", "")
                .footer("", "First steps:",
                        "  lacuna inspect vm.qcow2            what is inside, and what could go",
                        "  lacuna reclaim --dry-run vm.qcow2  what a run would do",
                        "  lacuna reclaim vm.qcow2            do it",
                        "  lacuna copy vm.qcow2 small.qcow2   a copy without free space",
                        "  lacuna undo vm.undo                take back a run with --undo vm.undo",
                        "", "'lacuna COMMAND --help' tells more of a command.");
        for (String name : COMMANDS) {
            spec.addSubcommand(name, subcommand(name));
        }
        return spec;
    }

    /** @return one command without the others, which a start need not make; null if no command has that name */
    static CommandSpec only(String name) {
        return COMMANDS.contains(name) ? subcommand(name).name(NAME + " " + name) : null;
    }

    static String commandNames() {
        return String.join(", ", COMMANDS);
    }

    /** @return the command's own name, without that of the program */
    static String lastWord(CommandSpec spec) {
        String name = spec.name();
        return name.substring(name.lastIndexOf(' ') + 1);
    }

    /** As {@link CommandSpec#create()}, whose own factory looks for the classes of another language, and so into the jar. */
    static CommandSpec newSpec() {
        return CommandSpec.wrapWithoutInspection(null, FACTORY);
    }

    private static CommandSpec subcommand(String name) {
        return switch (name) {
            case INSPECT -> inspect();
            case RECLAIM -> reclaim();
            case COPY -> copy();
            case UNDO -> undo();
            case VERIFY -> ProofSyntax.verify();
            case KEYGEN -> ProofSyntax.keygen();
            default -> throw new IllegalArgumentException(name);
        };
    }

    private static CommandSpec inspect() {
        CommandSpec spec = common(INSPECT);
        spec.usageMessage()
                .description("Shows what is inside disk images: format, sizes, parents, partitions, file systems, and how much of "
                        + "each is used, free and reclaimable. Changes nothing and takes no lock.", "")
                .footer("", "Examples:",
                        "  lacuna inspect vm.qcow2",
                        "  lacuna inspect --json *.raw | jq '.images[].plannedBytes'",
                        "", "Exit status: 0 done, 1 an I/O or internal failure, 2 usage, 3 an image was refused.");
        return spec;
    }

    private static CommandSpec reclaim() {
        CommandSpec spec = common(RECLAIM);
        spec.usageMessage()
                .description("Gives the free space inside disk images back to the host, in place. The guest must be shut down. "
                        + "What is in doubt is left alone, and the reason is told.", "")
                .footer("", "Examples:",
                        "  lacuna reclaim vm.qcow2                    one image",
                        "  lacuna reclaim --dry-run --json vm.qcow2   the numbers, for a program",
                        "  lacuna reclaim --jobs 2 /var/lib/vms       every image in a directory",
                        "  lacuna reclaim --format raw /dev/vg/guest  a guest's disk on a device",
                        "  lacuna reclaim --undo vm.undo vm.qcow2     so that it can be taken back",
                        "", "Exit status: 0 done (also when there is nothing to do), 1 an I/O or internal failure, 2 usage, "
                        + "3 refused for safety with nothing changed, 4 live bytes differ. Of several images the worst counts: 4, "
                        + "then 1, then 3, then 0.");
        spec.addOption(flag("Plan only: the same checks and the same numbers, nothing is changed.", "-n", "--dry-run"));
        spec.addOption(value("MODE", ReclaimMode.class, "deallocate (default): unmap blocks that are wholly free, and release "
                + "the free parts of the others. punch: release only, and change no table of the format. compact: deallocate, then "
                + "move blocks from the end into the gaps, so that the file becomes shorter.", "--mode")
                .converters(new Converter<>(Values.word(ReclaimMode.class))).build());
        spec.addOption(value("SIZE", long.class, "Release only whole multiples of SIZE (default: the finest that the host "
                + "can; smaller values mean that).", "--granularity").converters(new Converter<>(Values.granularity())).build());
        spec.addOption(value("SIZE", long.class, "Leave free ranges alone that are shorter than SIZE.", "--min-extent")
                .converters(new Converter<>(Values.size())).build());
        spec.addOption(include("release"));
        spec.addOption(flag("Also release blocks that hold nothing but zeros, in use or not, also in volumes that are skipped: "
                + "they read the same afterwards. Reads all that the image stores.", "--zeroes"));
        spec.addOption(value("PATH", List.class, "An image that is based on IMAGE, or a directory to search for such images; may "
                + "be given several times. Whoever names all of them can, with --replay-journal, give back what is free in IMAGE "
                + "and in each of them. Without it they are looked for beside IMAGE and among running machines.", "--children")
                .auxiliaryTypes(Path.class).converters(new Converter<>(Values.path())).build());
        spec.addOption(file("FILE", "Write the JSON report to FILE as well.", "--report"));
        spec.addOption(file("FILE", "Keep what is discarded in the new file FILE, so that 'lacuna undo FILE' can "
                + "put it back. If FILE is a directory, and always for several images: in FILE/NAME.lacuna-undo.", "--undo"));
        ProofSyntax.addTo(spec);
        spec.addOption(value("N", int.class, "Work on N images at a time (default: 1).", "-j", "--jobs")
                .converters(new Converter<>(Values.jobs())).build());
        return spec;
    }

    private static CommandSpec copy() {
        CommandSpec spec = forImages(COPY);
        spec.addOption(verbose());
        addDoubts(spec);
        spec.usageMessage()
                .description("Copies a disk into a new image, without free space and without zeros. The image is only read; the "
                        + "guest must be shut down. A volume whose free space is in doubt is copied whole, and the reason is told.",
                        "")
                .footer("", "Examples:",
                        "  lacuna copy vm.qcow2 small.qcow2             with the data of its parents",
                        "  lacuna copy --keep-chain vm.qcow2 top.qcow2  only its own, on its parent",
                        "  lacuna copy --compress vm.raw archive.qcow2",
                        "  lacuna copy --to vmdk-stream vm.vhdx for-esx.vmdk",
                        "", "Exit status: 0 done, 1 an I/O or internal failure, 2 usage, 3 refused. OUT appears only when it is "
                        + "complete: whatever goes wrong, nothing of the copy is left.");
        spec.addOption(value("FORMAT", OutputFormat.class, "The copy's format: raw (sparse), qcow2, vhd, vhdx, vmdk "
                + "(monolithicSparse), vmdk-stream (streamOptimized) or vdi. Without it the suffix of OUT decides.", "-O", "--to")
                .converters(new Converter<>(Values.outputFormat())).build());
        spec.addOption(flag("Compress the data (qcow2; vmdk-stream is always compressed).", "-c", "--compress"));
        spec.addOption(flag("Keep the parent: the copy names it and holds only the image's own data (qcow2). Without this option "
                + "the data of all parents is copied, and the copy has none.", "--keep-chain"));
        spec.addOption(include("leave out"));
        spec.addOption(flag("Replace OUT if it exists, once the copy is complete.", "--force"));
        spec.addPositional(position("0", "IMAGE", "1", "Disk image or block device to copy."));
        spec.addPositional(position("1", "OUT", "1", "The new file."));
        return spec;
    }

    private static CommandSpec undo() {
        CommandSpec spec = newSpec().name(UNDO);
        spec.addOption(help());
        spec.usageMessage()
                .description("Puts an image back to what it was before a run with --undo, byte for byte, free space included. The "
                        + "guest must be shut down, and nothing may have written to the image since: otherwise this is refused.",
                        "")
                .footer("", "Examples:",
                        "  lacuna reclaim --undo vm.undo vm.qcow2   keep what is discarded",
                        "  lacuna undo vm.undo                      put it back",
                        "", "An undo that was cut is finished by running it again. Exit status: 0 done, 1 an I/O or internal "
                        + "failure, 2 usage, 3 refused for safety with nothing changed.");
        spec.addOption(flag("Vouch that nothing has written to the image since the run was cut. Needed only where "
                + "that cannot be told from the image; what can be told is checked all the same.", "--unchanged"));
        spec.addOption(verbose());
        spec.addPositional(position("0", "FILE", "1", "The undo file; it knows its image."));
        return spec;
    }

    private static OptionSpec verbose() {
        return flag("Say of a failure also where in the program it came about, on standard error.", "-v", "--verbose");
    }

    private static OptionSpec include(String verb) {
        return value("WHAT", List.class, "Also " + verb + " gaps (space between partitions) or swap (the content of swap "
                + "areas); separate by commas.",
                "--include").auxiliaryTypes(Include.class).converters(new Converter<>(Values.word(Include.class)))
                .splitRegex(",").build();
    }

    private static CommandSpec common(String name) {
        CommandSpec spec = forImages(name);
        spec.addOption(verbose());
        addDoubts(spec);
        spec.addPositional(PositionalParamSpec.builder().paramLabel("IMAGE").arity("1..*").required(true).type(List.class)
                .auxiliaryTypes(Path.class).converters(new Converter<>(Values.path()))
                .description("Disk image or block device; a directory stands for all disk images in it and below: those "
                        + "that have a signature, and raw disks and fixed VHDs called .raw, .img, .dd, .vhd or .vpc. Symbolic "
                        + "links in it are not followed.").build());
        return spec;
    }

    static CommandSpec forImages(String name) {
        CommandSpec spec = newSpec().name(name);
        spec.addOption(help());
        spec.addOption(flag("Print one JSON document on standard output and nothing else.", "--json"));
        spec.addOption(value("FORMAT", String.class, "The image's format: " + String.join(", ", DiskImages.formatNames())
                + ". Without it the signature decides; fix it to raw for a raw disk whose guest could have written the "
                + "signature of another format.", "-f", "--format").converters(new Converter<>(Values.format())).build());
        spec.addOption(value("DIR", List.class, "Parents and data files that an image names may lie in DIR, too (default: "
                + "only below the image's own directory). May be given several times.", "--allow-backing")
                .auxiliaryTypes(Path.class).converters(new Converter<>(Values.path())).build());
        return spec;
    }

    /** What is believed of the file systems. */
    private static void addDoubts(CommandSpec spec) {
        spec.addOption(flag("Compare the bitmaps of ext2/3/4 with every inode first, and leave a volume alone if a block in use is "
                + "marked free. Reads all inode tables. (NTFS volumes, and ext4 with fast commits, are always compared.)",
                "--cross-check"));
        spec.addOption(flag("Your word that the guest will boot next, from this very disk, and not resume from saved memory, and "
                + "that no snapshot or child stands on it: the pending journal of an ext3 or ext4 file system is replayed in "
                + "memory, and what is free before and after counts as free. Without it such a volume is left alone.",
                "--replay-journal"));
    }

    static OptionSpec help() {
        return OptionSpec.builder("-h", "--help").usageHelp(true).description("Show this help and exit.").build();
    }

    private static OptionSpec flag(String description, String... names) {
        return OptionSpec.builder(names).type(boolean.class).arity("0").description(description).build();
    }

    static OptionSpec file(String label, String description, String name) {
        return value(label, Path.class, description, name).converters(new Converter<>(Values.path())).build();
    }

    static PositionalParamSpec position(String index, String label, String arity, String description) {
        return PositionalParamSpec.builder().index(index).paramLabel(label).arity(arity).required(!arity.startsWith("0"))
                .type(Path.class).converters(new Converter<>(Values.path())).description(description).build();
    }

    static OptionSpec.Builder value(String label, Class<?> type, String description, String... names) {
        return OptionSpec.builder(names).paramLabel(label).type(type).arity("1").description(description);
    }
}
