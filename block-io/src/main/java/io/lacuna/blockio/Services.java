package io.lacuna.blockio;

import java.util.ArrayList;
import java.util.List;
import java.util.ServiceConfigurationError;
import java.util.ServiceLoader;

/**
 * Finds the implementations of an interface that plug in as services.
 *
 * <p>A {@link ServiceLoader} asks every module of the Java runtime and every jar, which costs a start some ten milliseconds. A
 * program that is put together once can look them up then, and name them in a system property: {@code lacuna.services.} and the
 * interface's name; its value is what the service files say, separated by commas.
 */
public final class Services {

    private static final String PROPERTY = "lacuna.services.";

    private Services() {
    }

    /**
     * @return one of each, in the order in which they are named
     * @throws ServiceConfigurationError if one of them cannot be made
     */
    public static <T> List<T> of(Class<T> service) {
        String names = System.getProperty(PROPERTY + service.getName());
        List<T> found = new ArrayList<>();
        if (names == null) {
            ServiceLoader.load(service, service.getClassLoader()).forEach(found::add);
            return List.copyOf(found);
        }
        for (String name : names.split(",")) {
            try {
                found.add(service.cast(Class.forName(name, true, service.getClassLoader()).getDeclaredConstructor().newInstance()));
            } catch (ReflectiveOperationException | ClassCastException e) {
                throw new ServiceConfigurationError(PROPERTY + service.getName() + " names " + name, e);
            }
        }
        return List.copyOf(found);
    }
}
