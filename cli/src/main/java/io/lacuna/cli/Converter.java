package io.lacuna.cli;

import io.lacuna.diskimage.DiskImages;
import io.lacuna.diskimage.write.OutputFormat;
import io.lacuna.engine.ReclaimOptions;
import java.util.List;
import java.util.Locale;
import java.util.function.Function;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/**
 * Reads the value of an option. A class and not lambdas of picocli's own interface, for that is too old a class file for the
 * archive of class data once a lambda implements it, and with it some thirty classes would be parsed at every start.
 */
final class Converter<T> implements ITypeConverter<T> {

    private static final int MAX_JOBS = 256;
    private static final int SECTOR = 512;

    /** Throws IllegalArgumentException, with a message for the user. */
    private final Function<String, T> parse;

    private Converter(Function<String, T> parse) {
        this.parse = parse;
    }

    @Override
    public T convert(String text) {
        try {
            return parse.apply(text);
        } catch (IllegalArgumentException e) {
            throw new TypeConversionException(e.getMessage());
        }
    }

    /** The constants' names in lower case. */
    static <E extends Enum<E>> Converter<E> word(Class<E> type) {
        return new Converter<>(text -> {
            StringBuilder words = new StringBuilder();
            for (E constant : type.getEnumConstants()) {
                String word = constant.name().toLowerCase(Locale.ROOT);
                if (word.equals(text)) {
                    return constant;
                }
                words.append(words.length() == 0 ? "" : ", ").append(word);
            }
            throw noneOf(text, words.toString());
        });
    }

    static Converter<String> format() {
        return new Converter<>(text -> {
            List<String> names = DiskImages.formatNames();
            if (!names.contains(text)) {
                throw noneOf(text, String.join(", ", names));
            }
            return text;
        });
    }

    static Converter<OutputFormat> outputFormat() {
        return new Converter<>(text -> {
            StringBuilder words = new StringBuilder();
            for (OutputFormat format : OutputFormat.values()) {
                if (format.word().equals(text)) {
                    return format;
                }
                words.append(words.length() == 0 ? "" : ", ").append(format.word());
            }
            throw noneOf(text, words.toString());
        });
    }

    static Converter<Long> size() {
        return new Converter<>(Sizes::parse);
    }

    static Converter<Long> granularity() {
        return new Converter<>(text -> {
            long bytes = Sizes.parse(text);
            if (bytes % SECTOR != 0) {
                throw new IllegalArgumentException("'" + text + "' is not a multiple of " + SECTOR);
            }
            if (bytes > ReclaimOptions.MAX_GRANULARITY) {
                throw new IllegalArgumentException("'" + text + "' is more than the "
                        + Sizes.show(ReclaimOptions.MAX_GRANULARITY) + " that a hole can be asked to measure");
            }
            return bytes;
        });
    }

    static Converter<Integer> jobs() {
        return new Converter<>(text -> {
            // Three digits at most, so that it cannot overflow.
            int jobs = text.matches("[0-9]{1,3}") ? Integer.parseInt(text) : 0;
            if (jobs < 1 || jobs > MAX_JOBS) {
                throw new IllegalArgumentException("'" + text + "' is not a number from 1 to " + MAX_JOBS);
            }
            return jobs;
        });
    }

    private static IllegalArgumentException noneOf(String text, String words) {
        return new IllegalArgumentException("'" + text + "' is none of: " + words);
    }
}
