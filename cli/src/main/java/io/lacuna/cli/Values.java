package io.lacuna.cli;

import io.lacuna.diskimage.DiskImages;
import io.lacuna.diskimage.write.OutputFormat;
import io.lacuna.engine.ReclaimOptions;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.function.Function;

/** What the values of options may be. Each function throws IllegalArgumentException, with a message for the user. */
final class Values {

    private static final int MAX_JOBS = 256;
    private static final int SECTOR = 512;

    private Values() {
    }

    /** The constants' names in lower case. */
    static <E extends Enum<E>> Function<String, E> word(Class<E> type) {
        return text -> {
            StringBuilder words = new StringBuilder();
            for (E constant : type.getEnumConstants()) {
                String word = constant.name().toLowerCase(Locale.ROOT);
                if (word.equals(text)) {
                    return constant;
                }
                words.append(words.length() == 0 ? "" : ", ").append(word);
            }
            throw noneOf(text, words.toString());
        };
    }

    /** An empty name, as an unset variable of a shell leaves it, would mean the current directory. */
    static Function<String, Path> path() {
        return text -> {
            if (text.isEmpty()) {
                throw new IllegalArgumentException("an empty name");
            }
            return Path.of(text);
        };
    }

    static Function<String, String> format() {
        return text -> {
            List<String> names = DiskImages.formatNames();
            if (!names.contains(text)) {
                throw noneOf(text, String.join(", ", names));
            }
            return text;
        };
    }

    static Function<String, OutputFormat> outputFormat() {
        return text -> {
            StringBuilder words = new StringBuilder();
            for (OutputFormat format : OutputFormat.values()) {
                if (format.word().equals(text)) {
                    return format;
                }
                words.append(words.length() == 0 ? "" : ", ").append(format.word());
            }
            throw noneOf(text, words.toString());
        };
    }

    static Function<String, Long> size() {
        return Sizes::parse;
    }

    static Function<String, Long> granularity() {
        return text -> {
            long bytes = Sizes.parse(text);
            if (bytes % SECTOR != 0) {
                throw new IllegalArgumentException("'" + text + "' is not a multiple of " + SECTOR);
            }
            if (bytes > ReclaimOptions.MAX_GRANULARITY) {
                throw new IllegalArgumentException("'" + text + "' is more than the "
                        + Sizes.show(ReclaimOptions.MAX_GRANULARITY) + " that a hole can be asked to measure");
            }
            return bytes;
        };
    }

    static Function<String, Integer> jobs() {
        return text -> {
            // Three digits at most, so that it cannot overflow.
            int jobs = text.matches("[0-9]{1,3}") ? Integer.parseInt(text) : 0;
            if (jobs < 1 || jobs > MAX_JOBS) {
                throw new IllegalArgumentException("'" + text + "' is not a number from 1 to " + MAX_JOBS);
            }
            return jobs;
        };
    }

    private static IllegalArgumentException noneOf(String text, String words) {
        return new IllegalArgumentException("'" + text + "' is none of: " + words);
    }
}
