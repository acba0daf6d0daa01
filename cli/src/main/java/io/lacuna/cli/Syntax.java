package io.lacuna.cli;

import io.lacuna.blockio.ReclaimMode;
import io.lacuna.diskimage.DiskImages;
import io.lacuna.diskimage.write.OutputFormat;
import io.lacuna.engine.ReclaimOptions.Include;
import io.lacuna.engine.Reclaimer;
import java.nio.file.Path;
import java.util.List;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Model.PositionalParamSpec;

/**
 * Commands, options and their help. Written out rather than annotated, for reading annotations would cost every start some
 * tens of milliseconds.
 */
final class Syntax {

    static final String NAME = "lacuna";
    static final String INSPECT = "inspect";
    static final String RECLAIM = "reclaim";
    static final String COPY = "copy";
    private static final List<String> COMMANDS = List.of(INSPECT, RECLAIM, COPY);

    private Syntax() {
    }

    static CommandSpec command() {
        CommandSpec spec = CommandSpec.create().name(NAME).version("lacuna " + Reclaimer.VERSION);
        spec.addOption(help());
        spec.addOption(OptionSpec.builder("-V", "--version").versionHelp(true).description("Show the version and exit.").build());
        spec.usageMessage()
                .description("Gives the free space inside offline virtual disks back to the host: in place, without "
                        + "mounting anything or starting a guest.", "")
                .footer("", "First steps:",
                        "  lacuna inspect vm.qcow2            what is inside, and what could be given back",
                        "  lacuna reclaim --dry-run vm.qcow2  what a run would do",
                        "  lacuna reclaim vm.qcow2            do it",
                        "  lacuna copy vm.qcow2 small.qcow2   a copy without free space; the image stays as it is",
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

    /** @return the command's own name, without that of the program */
    static String lastWord(CommandSpec spec) {
        String name = spec.name();
        return name.substring(name.lastIndexOf(' ') + 1);
    }

    private static CommandSpec subcommand(String name) {
        return switch (name) {
            case INSPECT -> inspect();
            case RECLAIM -> reclaim();
            case COPY -> copy();
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
                        "  lacuna inspect --json *.raw | jq '.images[].volumes[].reclaimableBytes'",
                        "", "Exit status: 0 done, 1 an I/O or internal failure, 2 usage, 3 an image was refused.");
        return spec;
    }

    private static CommandSpec reclaim() {
        CommandSpec spec = common(RECLAIM);
        spec.usageMessage()
                .description("Gives the free space inside disk images back to the host, in place. The guest must be shut down. "
                        + "What is in doubt is left alone, and the reason is told.", "")
                .footer("", "Examples:",
                        "  lacuna reclaim vm.qcow2                     one image",
                        "  lacuna reclaim --dry-run --json vm.qcow2    the numbers only, for a program",
                        "  lacuna reclaim --jobs 2 /var/lib/vms        every image in a directory",
                        "  lacuna reclaim --format raw /dev/vg/guest   a block device that is a guest's whole disk",
                        "", "Exit status: 0 done (also when there is nothing to do), 1 an I/O or internal failure, 2 usage,",
                        "3 refused for safety with nothing changed. Of several images the worst counts: 1, then 3, then 0.");
        spec.addOption(flag("Plan only: the same checks and the same numbers, nothing is changed.", "-n", "--dry-run"));
        spec.addOption(value("MODE", ReclaimMode.class, "deallocate (default): unmap blocks that are wholly free, and release "
                + "the free parts of the others. punch: release only, and change no table of the format. compact: deallocate, then "
                + "move blocks from the end into the gaps, so that the file becomes shorter.", "--mode")
                .converters(Converter.word(ReclaimMode.class)).build());
        spec.addOption(value("SIZE", long.class, "Release only whole multiples of SIZE (default: the finest that the host "
                + "can; smaller values mean that).", "--granularity").converters(Converter.granularity()).build());
        spec.addOption(value("SIZE", long.class, "Leave free ranges alone that are shorter than SIZE.", "--min-extent")
                .converters(Converter.size()).build());
        spec.addOption(include("release"));
        spec.addOption(value("FILE", Path.class, "Write the JSON report to FILE as well.", "--report").build());
        spec.addOption(value("N", int.class, "Work on N images at a time (default: 1).", "-j", "--jobs")
                .converters(Converter.jobs()).build());
        return spec;
    }

    private static CommandSpec copy() {
        CommandSpec spec = forImages(COPY);
        spec.usageMessage()
                .description("Copies a disk into a new image, without free space and without zeros. The image is only read; the "
                        + "guest must be shut down. A volume whose free space is in doubt is copied whole, and the reason is told.", "")
                .footer("", "Examples:",
                        "  lacuna copy vm.qcow2 small.qcow2            with its parents' data, as one image without a parent",
                        "  lacuna copy --keep-chain vm.qcow2 top.qcow2 on the same parent, only what vm.qcow2 itself holds",
                        "  lacuna copy --compress vm.raw archive.qcow2",
                        "  lacuna copy --to vmdk-stream vm.vhdx for-esx.vmdk",
                        "", "Exit status: 0 done, 1 an I/O or internal failure, 2 usage, 3 refused. OUT appears only when it is",
                        "complete: whatever goes wrong, nothing of the copy is left.");
        spec.addOption(value("FORMAT", OutputFormat.class, "The copy's format: raw (sparse), qcow2, vhd, vhdx, vmdk "
                + "(monolithicSparse), vmdk-stream (streamOptimized) or vdi. Without it the suffix of OUT decides.", "-O", "--to")
                .converters(Converter.outputFormat()).build());
        spec.addOption(flag("Compress the data (qcow2; vmdk-stream is always compressed).", "-c", "--compress"));
        spec.addOption(flag("Keep the parent: the copy names it and holds only the image's own data (qcow2). Without this option the "
                + "data of all parents is copied, and the copy has none.", "--keep-chain"));
        spec.addOption(include("leave out"));
        spec.addOption(flag("Replace OUT if it exists, once the copy is complete.", "--force"));
        spec.addPositional(PositionalParamSpec.builder().index("0").paramLabel("IMAGE").arity("1").required(true).type(Path.class)
                .description("Disk image or block device to copy.").build());
        spec.addPositional(PositionalParamSpec.builder().index("1").paramLabel("OUT").arity("1").required(true).type(Path.class)
                .description("The new file.").build());
        return spec;
    }

    private static OptionSpec include(String verb) {
        return value("WHAT", List.class, "Also " + verb + " gaps (space between partitions) or swap (the content of swap "
                + "areas); separate by commas.", "--include").auxiliaryTypes(Include.class).converters(Converter.word(Include.class))
                .splitRegex(",").build();
    }

    private static CommandSpec common(String name) {
        CommandSpec spec = forImages(name);
        spec.addPositional(PositionalParamSpec.builder().paramLabel("IMAGE").arity("1..*").required(true).type(List.class)
                .auxiliaryTypes(Path.class).description("Disk image or block device; a directory stands for all disk images "
                        + "in it and below.").build());
        return spec;
    }

    private static CommandSpec forImages(String name) {
        CommandSpec spec = CommandSpec.create().name(name);
        spec.addOption(help());
        spec.addOption(flag("Print one JSON document on standard output and nothing else.", "--json"));
        spec.addOption(value("FORMAT", String.class, "The image's format: " + String.join(", ", DiskImages.formatNames())
                + ". Without it the signature decides; fix it to raw for a raw disk whose guest could have written the "
                + "signature of another format.", "-f", "--format").converters(Converter.format()).build());
        spec.addOption(value("DIR", List.class, "Parents and data files that an image names may lie in DIR, too (default: "
                + "only below the image's own directory). May be given several times.", "--allow-backing")
                .auxiliaryTypes(Path.class).build());
        spec.addOption(flag("Log what is done, on standard error.", "-v", "--verbose"));
        return spec;
    }

    private static OptionSpec help() {
        return OptionSpec.builder("-h", "--help").usageHelp(true).description("Show this help and exit.").build();
    }

    private static OptionSpec flag(String description, String... names) {
        return OptionSpec.builder(names[0], names).type(boolean.class).arity("0").description(description).build();
    }

    private static OptionSpec.Builder value(String label, Class<?> type, String description, String... names) {
        return OptionSpec.builder(names[0], names).paramLabel(label).type(type).arity("1").description(description);
    }
}
