import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.jar.JarFile;
import java.util.zip.CRC32;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;
import java.util.zip.ZipOutputStream;

/**
 * {@code MergeJars OUT IN...}: one jar out of many, so that a start opens one file, and beside it in "services" the
 * options that name the program's own services. Service files of the same name are
 * joined. Native libraries stay behind, and so does what the jars say of themselves (manifests,
 * licences, modules, variants for later Java versions), for the new jar is used on this machine only.
 */
final class MergeJars {

    private static final Set<String> NATIVE = Set.of("so", "dll", "dylib", "jnilib", "a", "lib");

    private MergeJars() {
    }

    public static void main(String[] arguments) throws IOException {
        Map<String, ByteArrayOutputStream> services = new LinkedHashMap<>();
        Set<String> seen = new HashSet<>();
        try (OutputStream file = Files.newOutputStream(Path.of(arguments[0])); ZipOutputStream out = new ZipOutputStream(file)) {
            // Stored, not packed: reading a class then is copying it.
            out.setMethod(ZipOutputStream.STORED);
            for (String name : List.of(arguments).subList(1, arguments.length)) {
                try (ZipFile in = new JarFile(name)) {
                    for (ZipEntry entry : (Iterable<ZipEntry>) in.stream().map(ZipEntry.class::cast)::iterator) {
                        byte[] content = in.getInputStream(entry).readAllBytes();
                        if (entry.getName().startsWith("META-INF/services/") && !entry.isDirectory()) {
                            ByteArrayOutputStream joined = services.computeIfAbsent(entry.getName(),
                                    n -> new ByteArrayOutputStream());
                            joined.write(content);
                            joined.write('\n');
                        } else if (isKept(entry.getName()) && seen.add(entry.getName())) {
                            add(out, entry.getName(), content);
                        }
                    }
                }
            }
            for (Map.Entry<String, ByteArrayOutputStream> service : services.entrySet()) {
                add(out, service.getKey(), service.getValue().toByteArray());
            }
        }
        // The program's own are told to it at its start, for looking them up takes a while.
        StringBuilder options = new StringBuilder();
        services.forEach((name, names) -> {
            String service = name.substring(name.lastIndexOf('/') + 1);
            if (service.startsWith("io.lacuna.")) {
                options.append(" -Dlacuna.services.").append(service).append('=')
                        .append(String.join(",", names.toString(StandardCharsets.UTF_8).split("\\s+")));
            }
        });
        Files.writeString(Path.of(arguments[0]).resolveSibling("services"), options + "\n");
    }

    private static boolean isKept(String name) {
        if (name.endsWith("/") || name.startsWith("META-INF/") || name.endsWith("module-info.class")) {
            return false;
        }
        return !NATIVE.contains(name.substring(name.lastIndexOf('.') + 1));
    }

    private static void add(ZipOutputStream out, String name, byte[] content) throws IOException {
        CRC32 checksum = new CRC32();
        checksum.update(content);
        ZipEntry entry = new ZipEntry(name);
        entry.setSize(content.length);
        entry.setCrc(checksum.getValue());
        entry.setTime(0);
        out.putNextEntry(entry);
        out.write(content);
        out.closeEntry();
    }
}
