package io.lacuna.cli;

import java.util.function.Function;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/**
 * Reads the value of an option, for picocli. A class and not lambdas of picocli's own interface, for that is too old a class file
 * for the archive of class data once a lambda implements it, and with it some thirty classes would be parsed at every start. The
 * lambdas of this class could not be archived either; hence {@link Values}.
 */
final class Converter<T> implements ITypeConverter<T> {

    private final Function<String, T> parse;

    /** @param parse throws IllegalArgumentException, with a message for the user */
    Converter(Function<String, T> parse) {
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
}
